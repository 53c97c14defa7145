// CTC decoding of log posteriors into words with times: greedy, or with a word list.

const SMOOTHING = 0.02;
const IMPOSSIBLE = -1e30;

/** Turn the logits of one clip, `frames` rows of `tokens`, into log posteriors, in place. */
export function logSoftmax(logits, tokens) {
  for (let row = 0; row < logits.length; row += tokens) {
    let highest = -Infinity;
    for (let token = 0; token < tokens; token += 1) highest = Math.max(highest, logits[row + token]);
    let sum = 0;
    for (let token = 0; token < tokens; token += 1) sum += Math.exp(logits[row + token] - highest);
    const total = highest + Math.log(sum);
    for (let token = 0; token < tokens; token += 1) logits[row + token] -= total;
  }
  return logits;
}

/** The best path: repeats merged, blanks dropped. Returns [{ word, start, end }] in frames. */
export function decodeGreedily(scores, model) {
  const tokens = model.spellings.length;
  const words = [];
  let open = null;
  let before = -1;
  for (let frame = 0; frame * tokens < scores.length; frame += 1) {
    let best = 0;
    for (let token = 1; token < tokens; token += 1) {
      if (scores[frame * tokens + token] > scores[frame * tokens + best]) best = token;
    }
    const text = best === model.blank ? "" : model.spellings[best];
    if (text.startsWith(" ") && best !== before) open = null;
    if (text.trim() && best === before) {
      open.end = frame + 1;
    } else if (text.trim()) {
      if (!open) words.push(open = { word: "", start: frame, end: frame });
      open.word += text.trim();
      open.end = frame + 1;
    }
    before = best;
  }
  return words;
}

/** The states of a loop through the words of a list: gap, delimiter, end; then letters with blanks between them. */
export function buildLexicon(model) {
  const emitted = [model.blank, model.delimiter, model.blank];
  const skips = [false, false, false];
  const firsts = [];
  const lasts = [];
  const wordOf = [-1, -1, -1];
  model.words.forEach((spelling, number) => {
    firsts.push(emitted.length);
    spelling.tokens.forEach((token, index) => {
      if (index) {
        emitted.push(model.blank);
        skips.push(false);
        wordOf.push(number);
      }
      emitted.push(token);
      skips.push(index > 0 && token !== spelling.tokens[index - 1]);
      wordOf.push(number);
    });
    lasts.push(emitted.length - 1);
  });
  const isFirst = new Uint8Array(emitted.length);
  firsts.forEach((state) => { isFirst[state] = 1; });
  return { emitted, skips, firsts, lasts, wordOf, isFirst };
}

/** The likeliest sequence of words of the list (Viterbi). Returns [{ word, start, end }] in frames. */
export function decodeWithWords(scores, model, lexicon) {
  const tokens = model.spellings.length;
  const frames = scores.length / tokens;
  if (!frames) return [];
  const smooth = scores.map((score) => Math.log((1 - SMOOTHING) * Math.exp(score) + SMOOTHING / tokens));
  const path = findBestPath(smooth, frames, tokens, lexicon);
  const words = [];
  path.forEach((state, frame) => {
    const number = lexicon.wordOf[state];
    if (number < 0) return;
    if (lexicon.isFirst[state] && (frame === 0 || path[frame - 1] !== state)) {
      words.push({ word: model.words[number].word, start: frame, end: frame + 1 });
    } else {
      words.at(-1).end = frame + 1;
    }
  });
  return words;
}

function findBestPath(smooth, frames, tokens, lexicon) {
  const { emitted, lasts, firsts } = lexicon;
  const states = emitted.length;
  const origins = new Int32Array(frames * states);
  let best = new Float64Array(states).fill(IMPOSSIBLE);
  for (const state of [0, 1, ...firsts]) best[state] = smooth[emitted[state]];
  for (let frame = 1; frame < frames; frame += 1) {
    const next = new Float64Array(states);
    advance(best, next, origins.subarray(frame * states, (frame + 1) * states), lexicon);
    for (let state = 0; state < states; state += 1) next[state] += smooth[frame * tokens + emitted[state]];
    best = next;
  }
  const path = new Int32Array(frames);
  path[frames - 1] = [0, 1, 2, ...lasts].reduce((a, b) => (best[b] > best[a] ? b : a));
  for (let frame = frames - 1; frame > 0; frame -= 1) path[frame - 1] = origins[frame * states + path[frame]];
  return path;
}

/** Fill the best score of each state in the next frame, before its own output, and the state it comes from. */
function advance(best, next, origin, { lasts, skips, isFirst }) {
  const [gap, delimiter, end] = [0, 1, 2];
  const final = lasts.reduce((a, b) => (best[b] > best[a] ? b : a));
  const ended = best[end] >= best[final] ? end : final;
  const before = best[gap] >= best[delimiter] ? gap : delimiter;
  for (let state = 0; state < best.length; state += 1) {
    const sources = [state];
    if (state === gap) sources.push(delimiter);
    else if (state === delimiter) sources.push(ended, gap);
    else if (state === end) sources.push(final);
    else if (isFirst[state]) sources.push(before);
    else sources.push(state - 1);
    if (skips[state]) sources.push(state - 2);
    let chosen = sources[0];
    for (const source of sources) if (best[source] > best[chosen]) chosen = source;
    next[state] = best[chosen];
    origin[state] = chosen;
  }
}
