// Chapter of the live panel: the runs in line. A run is moved to a position that is named, so pressing twice, or two
// visitors who press the same, move it once. What has the focus keeps it wherever its run goes.

const queue = (() => {
  const rows = new Map(); // id -> its line
  let ids = [];
  const MOVES = [["first", "⤒", "next in line", () => 1], ["up", "↑", "up in line", (at) => at], ["down", "↓", "down in line", (at) => at + 2],
                 ["last", "⤓", "to the end of the line", () => ids.length]];

  function show(fresh) {
    const held = document.activeElement, moved = ids.length === fresh.length && ids.some((id, at) => id !== fresh[at]);
    ids = fresh;
    for (const [id, row] of rows) if (!ids.includes(id)) { row.remove(); rows.delete(id); }
    ids.forEach((id, at) => {
      if (!rows.has(id)) rows.set(id, line(id));
      const row = rows.get(id);
      if (part("queue").children[at] !== row) part("queue").insertBefore(row, part("queue").children[at] ?? null);
      for (const button of row.querySelectorAll("[data-move]")) {
        const end = ["first", "up"].includes(button.dataset.move) ? at === 0 : at === ids.length - 1;
        button.ariaDisabled = end ? "true" : null; // one that is disabled would lose the focus
      }
    });
    part("line-up").hidden = !ids.length;
    const mine = held?.closest?.("[data-queued]")?.dataset.queued;
    if (held?.isConnected && mine && held !== document.activeElement) held.focus({ preventScroll: true });
    if (moved && mine) text("moved", `${mine} is number ${ids.indexOf(mine) + 1} of ${ids.length} in line.`);
  }

  function line(id) {
    const row = document.createElement("li"), name = document.createElement("a");
    row.dataset.queued = id;
    Object.assign(name, { href: `?run=${encodeURIComponent(id)}`, textContent: id });
    name.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      choose(id, true);
    });
    const buttons = document.createElement("span");
    buttons.append(...MOVES.map(([move, sign, words, to]) => pressed(sign, `Move ${id} ${words}`, move, () => send(id, "move", to(ids.indexOf(id))))),
                   pressed("✕", `Take ${id} out of the line`, "", () => send(id, "leave")));
    row.append(name, buttons);
    return row;
  }

  function pressed(sign, words, move, action) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: sign, title: words });
    button.setAttribute("aria-label", words);
    button.className = "small";
    if (move) button.dataset.move = move;
    button.addEventListener("click", () => { if (!button.ariaDisabled) action(); });
    return button;
  }

  async function send(id, action, position) {
    try { notice((await server.act({ action, run: id, position })).notice); } catch { part("offline").hidden = false; }
    ask();
  }

  return { show };
})();
