// Decodes {model, scores} of stdin with the exported page's decoder, and prints its words as JSON.

import { readFileSync } from "node:fs";
import { buildLexicon, decodeGreedily, decodeWithWords, logSoftmax } from
  "../../asrkit/transcription/export/page/decoding.js";

const { model, clips } = JSON.parse(readFileSync(0, "utf8"));
const tokens = model.spellings.length;
const lexicon = model.words && buildLexicon(model);
const results = clips.map((rows) => {
  const scores = logSoftmax(Float32Array.from(rows.flat()), tokens);
  return lexicon ? decodeWithWords(scores, model, lexicon) : decodeGreedily(scores, model);
});
process.stdout.write(JSON.stringify(results));
