// Chapter of the Runs tab: curves of several runs over each other, and a published card as a dashed reference.

const compare = (() => {
  const TINTS = ["#0f766e", "#b45309", "#2563eb", "#7c3aed", "#be123c", "#4d7c0f", "#0891b2", "#a16207", "#c026d3", "#475569", "#059669", "#ea580c"];
  const NIGHT = ["#2dd4bf", "#fbbf24", "#60a5fa", "#c4b5fd", "#fb7185", "#a3e635", "#22d3ee", "#facc15", "#e879f9", "#94a3b8", "#34d399", "#fb923c"];
  const MOST = 12;
  let curves = new Map(), card = null, ticked = [], drawnAs = "", whole = false, fitted = 0;

  const dark = () => Boolean(element.closest(".dark")) || document.body.classList.contains("dark");
  function tint(id) { return (dark() ? NIGHT : TINTS)[ticked.indexOf(id) % MOST] ?? colour("--curve-text"); }
  const series = () => part("series").value, axis = () => part("axis").value;
  const percent = () => ["eval/wer", "eval/cer", "eval/mer"].includes(series());

  function tick(id, on) {
    ticked = on ? [...ticked.filter((one) => one !== id), id].slice(-MOST) : ticked.filter((one) => one !== id);
    link();
    draw();
    ask();
  }

  function link() {
    const address = new URL(location.href);
    if (ticked.length) address.searchParams.set("compare", ticked.join(",")); else address.searchParams.delete("compare");
    history.replaceState(history.state, "", address);
  }

  function from(address) { ticked = (new URL(address).searchParams.get("compare") ?? "").split(",").filter(Boolean).slice(0, MOST); }

  // What the server is asked for: the ticked runs, and which state of the curve is known.
  function asked() { return Object.fromEntries(ticked.map((id) => [id, curves.get(id)?.key ?? ""])); }

  function add(fresh, ids) {
    if (ids) ticked = ticked.filter((id) => ids.includes(id));
    for (const [id, curve] of Object.entries(fresh)) curves.set(id, curve);
    if (Object.keys(fresh).length || ids) draw();
  }

  function traces() {
    const end = Math.max(0, ...ticked.map((id) => curves.get(id)?.[axis()].at(-1) ?? 0));
    const known = ticked.filter((id) => curves.get(id)?.key.startsWith(`${series()}@`));
    const made = known.map((id) => trace(id, curves.get(id), tint(id), end));
    const reference = card?.curves[series()];
    if (reference && axis() !== "t") {
      made.push({ ...trace(card.title, reference, colour("--curve-text"), end), line: { color: colour("--curve-text"), width: 2, dash: "dash" } });
    }
    return [made, end];
  }

  function trace(name, curve, tinted, end) {
    return { name, x: curve[axis()].map((value) => AXES[axis()].of(value, end)), y: curve.y, type: "scatter",
             mode: series().startsWith("eval/") ? "lines+markers" : "lines", connectgaps: false, cliponaxis: false,
             line: { color: tinted, width: 2 }, marker: { color: tinted, size: 6 },
             hovertemplate: percent() ? "%{y:.1%}" : "%{y:.4~g}" };
  }

  // A card that goes on for much longer would squeeze the runs into a corner: it is shown as far as they go, or to its
  // second evaluation where that does not leave them too little.
  function near(end) {
    const second = card.curves[series()][axis()][1] ?? 0;
    return 1.03 * Math.max(end, Math.min(second, 4 * end));
  }

  function beyond(end) {
    const last = axis() !== "t" ? card?.curves[series()]?.[axis()].at(-1) : 0;
    return end && last > 1.5 * end ? last : 0;
  }

  function fit(layout, end) {
    const plot = part("plot"), shown = plot.layout?.xaxis;
    const moved = plot.dataset.meaning === drawnAs && (shown?.autorange || shown?.range?.[1] !== fitted);
    if (moved) return; // the visitor's own zoom
    fitted = near(end);
    layout.xaxis.range = [0, fitted];
  }

  function draw() {
    const [made, end] = traces(), longer = beyond(end);
    part("whole").hidden = !longer;
    text("whole", whole ? "Near the runs" : `Whole card (to ${AXES[axis()].title(end)} ${Math.round(longer)})`);
    part("nothing").hidden = Boolean(made.length);
    part("clear").hidden = !ticked.length;
    part("logarithmic").disabled = percent();
    text("nothing", why());
    part("plot").hidden = !made.length;
    table.differences(ticked);
    if (!window.Plotly || !made.length || !part("plot").offsetParent) return;
    const log = part("logarithmic").checked && !percent();
    const layout = baseLayout({ percent: percent(), log, title: AXES[axis()].title(end), height: 380 });
    layout.showlegend = true;
    layout.hovermode = "closest";
    layout.margin.t = 20;
    layout.legend = { orientation: "h", x: 0, y: -0.2 };
    const cut = longer && !whole;
    drawnAs = `${series()} ${axis()} ${timeUnit(end).words} ${log} ${cut ? "cut" : "whole"}`;
    if (cut) fit(layout, end);
    redraw(part("plot"), made, layout, drawnAs);
  }

  function why() {
    if (card && axis() === "t" && !ticked.length) return "A published card does not tell times; choose steps or epochs.";
    if (card && !card.curves[series()] && !ticked.length) return "This card does not tell this curve; choose another.";
    return ticked.length ? "These runs have not told this curve yet." : "Tick one run or more in the table above, or choose a published card.";
  }

  async function choose(name, pasted) {
    card = null;
    notice("");
    part("paste").hidden = name !== "paste";
    if (name && (name !== "paste" || pasted)) {
      try {
        const told = await server.card({ name, text: pasted });
        if (told.notice) notice(told.notice); else card = told;
      } catch (error) {
        console.warn("asrkit: no card", error);
        part("offline").hidden = false; // the next answer takes it away
      }
    }
    draw();
  }

  function listen() {
    for (const name of ["series", "axis", "logarithmic"]) part(name).addEventListener("change", () => { curves = name === "series" ? new Map() : curves; draw(); ask(); });
    part("card").addEventListener("change", () => choose(part("card").value, ""));
    part("draw-card").addEventListener("click", () => choose("paste", part("pasted").value));
    part("whole").addEventListener("click", () => { whole = !whole; draw(); });
    part("clear").addEventListener("click", () => { ticked = []; link(); table.draw(); draw(); });
  }

  return { tick, from, asked, add, draw, listen, tint, has: (id) => ticked.includes(id) };
})();
