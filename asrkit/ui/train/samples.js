// Chapter of the live panel: the same clips through all evaluations. Dragging shows what was heard at each; what has been
// shown once is kept here, so going back and forth asks for nothing.

const hearing = (() => {
  let steps = [], kept = new Map(), wanted = null, playing = null;

  function add(news) {
    if (news.reset) kept = new Map();
    if (news.evaluations) {
      steps = news.evaluations;
      part("steps").max = Math.max(0, steps.length - 1);
      if (wanted !== null && !steps.includes(wanted)) wanted = null;
    }
    part("evaluation").hidden = !steps.length;
    if (news.evaluation) {
      kept.set(news.evaluation.step, news.evaluation);
      const step = wanted ?? steps.at(-1);
      if (kept.has(step)) show(kept.get(step));
    }
    place();
  }

  function place() {
    const index = wanted === null ? steps.length - 1 : steps.indexOf(wanted);
    part("steps").value = index;
    const words = wanted === null ? `step ${steps.at(-1)}, the latest` : `step ${wanted}`;
    text("step-shown", words);
    part("steps").setAttribute("aria-valuetext", words);
    part("steps").disabled = steps.length < 2;
  }

  function show(evaluation) {
    text("caption", evaluation.caption);
    part("samples").innerHTML = evaluation.html;
  }

  function drag() {
    const index = Number(part("steps").value);
    wanted = index === steps.length - 1 ? null : steps[index];
    const step = steps[index];
    place();
    if (kept.has(step)) show(kept.get(step)); else ask();
  }

  async function play(button) {
    if (playing) { playing.pause(); playing.button.textContent = "▶"; }
    if (playing?.button === button) { playing = null; return; }
    playing = Object.assign(new Audio(`download/${encodeURIComponent(run)}/clip/${encodeURIComponent(button.dataset.clip)}.wav`), { button });
    playing.onended = () => { button.textContent = "▶"; playing = null; };
    button.textContent = "■";
    try { await playing.play(); } catch { button.textContent = "▶"; playing = null; notice("This clip cannot be played any more: its file is gone."); }
  }

  function forget() { kept = new Map(); steps = []; wanted = null; }

  function listen() {
    part("steps").addEventListener("input", drag);
    part("samples").addEventListener("click", (event) => {
      const button = event.target.closest("button[data-clip]");
      if (button) play(button);
    });
  }

  // What to ask for: the step that is looked at, and which evaluation of it is known.
  const asked = () => ({ at_step: wanted, evaluation: kept.get(wanted ?? steps.at(-1))?.key ?? null, evaluations: steps.length });
  return { add, asked, forget, listen };
})();
