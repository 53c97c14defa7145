// Chapter of the live panel: its charts. New points are appended, so zoom, hidden curves and hover survive them; a chart
// is drawn anew only when its axes or its smoothing change, or when the server says so.

const charts = (() => {
  const PLOTS = {
    loss: { title: "Loss", curves: ["train/loss", "eval/loss"], smooth: true, marks: true },
    rates: { title: "Error rates", curves: ["eval/wer", "eval/cer", "eval/mer", "eval/greedy_wer"], percent: true, marks: true },
    learning_rate: { title: "Learning rate", curves: ["train/learning_rate"] },
    grad_norm: { title: "Gradient norm", curves: ["train/grad_norm"], smooth: true },
    speed: { title: "Speed", curves: ["train/audio_seconds_per_second"], smooth: true },
    memory: { title: "Memory", curves: ["train/memory_gb"] },
  };
  const NAMES = { "train/loss": "Training", "eval/loss": "Evaluation", "eval/wer": "WER", "eval/cer": "CER",
                  "eval/mer": "MER (Chinese by character)", "eval/greedy_wer": "WER, no list",
                  "train/learning_rate": "Learning rate", "train/grad_norm": "Gradient norm",
                  "train/audio_seconds_per_second": "Audio seconds a second", "train/memory_gb": "Most memory (GB)" };
  const OPTIONAL = ["eval/mer", "eval/greedy_wer"]; // drawn only where a run tells them
  const SERIES = Object.values(PLOTS).flatMap((plot) => plot.curves);
  const MOST = 5000; // points of one curve from which on the page asks for a thinned history
  const KEPT = "asrkit-charts";
  let points = empty(), drawn = false, entropy = null, best = null, findings = [], told = "";
  let wish = { axis: "x", log: false, smoothing: 0, hidden: [], ...remembered() };

  function empty() { return Object.fromEntries(SERIES.map((name) => [name, { x: [], e: [], t: [], y: [] }])); }
  function keep() { localStorage.setItem(KEPT, JSON.stringify(wish)); }
  function remembered() { try { return JSON.parse(localStorage.getItem(KEPT)) ?? {}; } catch { return {}; } }
  function has(name) { return points[name].x.length > 0; }
  function shown(plot) { return PLOTS[plot].curves.some(has); }
  function most() { return Math.max(0, ...SERIES.map((name) => points[name][wish.axis].at(-1) ?? 0)); }
  function across(curve, from = 0) { const end = scale(); return curve[wish.axis].slice(from).map((value) => AXES[wish.axis].of(value, end)); }

  // The unit of time is chosen when a chart is drawn and stays until it is drawn anew.
  let unitFor = 0;
  function scale() { return wish.axis === "t" ? unitFor : 0; }

  function traces(plot) {
    const { curves, smooth, percent } = PLOTS[plot], all = curves.map((name) => trace(plot, name, percent));
    const soft = smooth && wish.smoothing > 0;
    if (smooth) {
      const raw = all[0];
      raw.opacity = soft ? 0.3 : 1;
      raw.showlegend = !soft;
      all.push({ ...raw, y: soft ? smoothed(points[curves[0]].y, wish.smoothing) : [], x: soft ? raw.x : [], opacity: 1,
                 name: `${raw.name}, smoothed`, visible: soft, showlegend: soft, mode: "lines", line: { ...raw.line, width: 2.5 } });
    }
    for (const one of all) if (one.visible && wish.hidden.includes(one.name)) one.visible = "legendonly";
    return all;
  }

  function trace(plot, name, percent) {
    const train = name.startsWith("train/"), tint = colour(`--curve-${name.replace("/", "-")}`) || colour("--curve-train-loss");
    return { x: across(points[name]), y: [...points[name].y], name: NAMES[name], type: "scatter",
             mode: train ? "lines" : "lines+markers", connectgaps: false, cliponaxis: train,
             visible: !OPTIONAL.includes(name) || has(name),
             line: { color: tint, width: train ? 1.5 : 2.5, dash: name === "eval/greedy_wer" ? "dot" : "solid" },
             marker: { color: tint, size: 7 }, hovertemplate: percent ? "%{y:.1%}" : "%{y:.4~g}" };
  }

  function layout(plot) {
    const { percent, curves } = PLOTS[plot], nothing = !shown(plot);
    const made = baseLayout({ percent, log: wish.log && !percent, title: AXES[wish.axis].title(scale()) });
    made.showlegend = curves.length > 1;
    if (nothing) { made.xaxis.range = [0, 10]; made.yaxis.range = [0, 1]; } // an axis that means something until then
    return { ...made, ...marks(plot) };
  }

  // What the loss comes to when only the letters' frequencies are known (a run that stays at this line hears nothing),
  // the best evaluation, and where something was found to go wrong.
  function marks(plot) {
    const shapes = [], annotations = [], text = colour("--curve-text");
    const at = [best && { step: best.step, words: "best", more: best.words, tint: colour("--good") },
                ...findings.map((one) => ({ step: one.step ?? 0, words: one.code, more: one.cause, tint: colour("--warn") }))].filter(Boolean);
    if (plot === "loss" && entropy) {
      // Its words stand under the chart: wherever they stood in it, a curve or a mark would run through them.
      shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: entropy, y1: entropy, line: { color: text, width: 1, dash: "dash" } });
    }
    if (!PLOTS[plot].marks) return { shapes, annotations };
    at.forEach((mark, place) => {
      const x = placeOf(mark.step);
      if (x === null) return;
      shapes.push({ type: "line", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line: { color: mark.tint, width: 1, dash: "dot" } });
      annotations.push({ x, yref: "paper", y: 1 - 0.09 * (place % 5), yanchor: "top", xanchor: "left", xshift: 3, showarrow: false,
                         text: mark.words, hovertext: mark.more, font: { size: 11, color: mark.tint }, captureevents: true,
                         bgcolor: colour("--curve-hover"), borderpad: 1 });
    });
    return { shapes, annotations };
  }

  function placeOf(step) {
    if (wish.axis === "x") return step;
    for (const name of ["eval/loss", "train/loss"]) {
      const index = points[name].x.findIndex((known) => known >= step);
      if (index >= 0) return across(points[name])[index];
    }
    return null;
  }

  function draw() {
    if (!window.Plotly || !SERIES.some(has)) return;
    unitFor = most();
    Object.keys(PLOTS).forEach(drawOne);
    drawn = true;
  }

  function drawOne(plot) {
    const figure = part(plot).closest("figure");
    figure.hidden = !shown(plot) && !["loss", "rates"].includes(plot);
    if (figure.hidden || !figure.offsetParent) { part(plot).dataset.due = "1"; return; }
    delete part(plot).dataset.due;
    const waited = part(plot).dataset.empty === "1";
    part(plot).dataset.empty = shown(plot) ? "" : "1";
    redraw(part(plot), traces(plot), layout(plot), waited ? "empty" : `${wish.axis} ${timeUnit(scale()).words} ${wish.log}`);
    if (!part(plot).dataset.heard) part(plot).on("plotly_restyle", () => hid(plot));
    part(plot).dataset.heard = "1";
  }

  // A curve that was switched off in the legend stays off after a reload.
  function hid(plot) {
    const off = (one) => one.visible === "legendonly", here = part(plot).data;
    wish.hidden = [...wish.hidden.filter((name) => !here.some((one) => one.name === name)), ...here.filter(off).map((one) => one.name)];
    keep();
  }

  function add(news) {
    const marked = JSON.stringify([news.entropy, news.best, news.findings]);
    if (news.reset) points = empty();
    const before = SERIES.filter(has);
    for (const name of SERIES) for (const side of "xety") points[name][side].push(...(news.points[name]?.[side] ?? []));
    ({ entropy, best, findings } = news);
    part("entropy").hidden = !entropy;
    part("charts").hidden = part("chart-tools").hidden = part("more-charts").hidden = !SERIES.some(has);
    if (news.reset || !drawn || (wish.axis === "t" && timeUnit(most()).words !== timeUnit(unitFor).words)) {
      told = marked;
      draw();
      return;
    }
    for (const [plot, { curves }] of Object.entries(PLOTS)) {
      if (curves.some(has) && !curves.some((name) => before.includes(name))) drawOne(plot);
      else extend(plot, news.points);
      if (marked !== told && part(plot).data) Plotly.relayout(part(plot), marks(plot));
    }
    told = marked;
  }

  function extend(plot, fresh) {
    const { curves, smooth } = PLOTS[plot], div = part(plot);
    if (!div.data || div.dataset.due) return;
    const x = [], y = [], which = [];
    curves.forEach((name, index) => {
      const count = fresh[name]?.x.length;
      if (!count) return;
      x.push(across(points[name], -count)); y.push(fresh[name].y); which.push(index);
      if (smooth && index === 0 && wish.smoothing > 0) {
        x.push(x.at(-1)); y.push(smoothed(points[name].y, wish.smoothing).slice(-count)); which.push(curves.length);
      }
    });
    if (which.length) Plotly.extendTraces(div, { x, y }, which);
  }

  function recolour() {
    if (!drawn) return;
    Object.keys(PLOTS).forEach(drawOne);
  }

  // A chart that could not be seen was not drawn; one whose place has changed is fitted to it.
  function fit() {
    if (!drawn) return;
    for (const plot of Object.keys(PLOTS)) {
      if (part(plot).dataset.due) drawOne(plot);
      else if (part(plot).data && part(plot).offsetWidth) Plotly.Plots.resize(part(plot));
    }
  }

  function wished() {
    wish = { ...wish, axis: part("axis").value, log: part("logarithmic").checked, smoothing: Number(part("smoothing").value) };
    keep();
    draw();
  }

  function listen() {
    part("axis").value = wish.axis in AXES ? wish.axis : (wish.axis = "x");
    part("logarithmic").checked = wish.log;
    part("smoothing").value = wish.smoothing;
    for (const name of ["axis", "logarithmic"]) part(name).addEventListener("change", wished);
    part("smoothing").addEventListener("input", wished);
    part("more-charts").addEventListener("toggle", fit);
  }

  const tooLong = () => SERIES.some((name) => points[name].x.length > MOST);
  const all = () => Object.keys(PLOTS).filter((plot) => part(plot).data).map((plot) => ({ div: part(plot), title: titleOf(plot) }));
  function titleOf(plot) { return plot === "loss" && entropy ? `${PLOTS.loss.title} (${part("entropy").textContent})` : PLOTS[plot].title; }
  return { add, draw, recolour, fit, listen, tooLong, all };
})();
