// The words on view and the waveform under them; `shown` and `playhead` are talk.js's.

const textOf = (words) => words.map((one, place) => (one.joined || !place ? "" : " ") + one.word).join("");

// New words go behind those on view. A long pause begins a paragraph with its time.
function addWords(words) {
  const into = part("words"), long = shown.duration_s > TIMELINE_S;
  for (const one of words) {
    const before = shown.words.at(-1);
    if (long && (!before || one.start_s - before.end_s > PARAGRAPH_S)) {
      into.append(make("span", "at", { textContent: clock(one.start_s) }));
    }
    shown.words.push(one);
    into.append(one.joined || !before ? "" : " ", wordButton(one, shown.words.length - 1));
  }
}

function wordButton(one, place) {
  const button = make("button", one.joined ? "word joined" : "word", { type: "button", textContent: one.word, tabIndex: place ? -1 : 0 });
  button.dataset.place = place;
  button.style.setProperty("--sure", one.confidence);
  button.title = `${one.start_s.toFixed(2)} to ${one.end_s.toFixed(2)} s · ${Math.round(100 * one.confidence)} % sure`;
  return button;
}

function drawTimeline() {
  const wide = part("timeline").clientWidth, strip = shown.duration_s <= TIMELINE_S;
  shown.width = strip ? Math.max(wide, Math.round(shown.duration_s * PIXELS_A_SECOND)) : wide;
  drawWave();
  part("lanes").replaceChildren();
  part("lanes").style.width = `${shown.width}px`;
  if (!strip) { part("lanes").style.height = 0; return; }
  const ends = [];
  shown.words.forEach((one, place) => {
    const button = wordButton(one, place), left = one.start_s / shown.duration_s * shown.width;
    button.tabIndex = -1;
    part("lanes").append(button);
    let lane = ends.findIndex((end) => end <= left);
    if (lane < 0) lane = ends.length;
    ends[lane] = left + button.offsetWidth + 4;
    button.style.left = `${left}px`;
    button.style.top = `${lane * 1.9}rem`;
  });
  part("lanes").style.height = `${ends.length * 1.9}rem`;
}

function drawWave() {
  if (!shown?.peaks || !shown.width) return;
  const canvas = part("wave"), dense = window.devicePixelRatio || 1, height = 72, peaks = shown.peaks;
  canvas.width = shown.width * dense;
  canvas.height = height * dense;
  canvas.style.width = `${shown.width}px`;
  const pen = canvas.getContext("2d"), step = canvas.width / Math.max(1, peaks.length);
  pen.fillStyle = colour("--curve-eval-loss");
  peaks.forEach((peak, place) => {
    const tall = Math.max(1, peak / 100 * canvas.height);
    pen.fillRect(place * step, (canvas.height - tall) / 2, Math.max(1, step - 1), tall);
  });
  if (playhead !== null) {
    pen.fillStyle = colour("--curve-eval-wer");
    pen.fillRect(playhead / shown.duration_s * canvas.width, 0, 2 * dense, canvas.height);
  }
}
