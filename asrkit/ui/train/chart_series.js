// Which curves stand in which chart of the live panel.

export const PLOTS = {
  loss: { curves: ["train/loss", "eval/loss"], smooth: true, marks: true },
  rates: {
    curves: ["eval/wer", "eval/cer", "eval/mer", "eval/greedy_wer", "eval/wer_low", "eval/wer_high"],
    percent: true,
    marks: true,
  },
  learning_rate: { curves: ["train/learning_rate"] },
  grad_norm: { curves: ["train/grad_norm"], smooth: true },
  speed: { curves: ["train/audio_seconds_per_second"], smooth: true },
  memory: { curves: ["train/memory_gb"] },
};

export const SERIES = Object.values(PLOTS).flatMap((plot) => plot.curves);

/** The ends of the band around a curve, the lower one first: they have no line, no hover and no legend of their own. */
export const BAND_OF = { "eval/wer_low": "eval/wer", "eval/wer_high": "eval/wer" };

/** Before the name of one of several datasets: the curve of its WER. A run has as many of them as the server sends. */
export const DATASET_CURVE = "eval/wer/";

export const isOfDataset = (series) => series.startsWith(DATASET_CURVE);

/** Drawn only where a run has them. */
export const OPTIONAL_SERIES = ["eval/mer", "eval/greedy_wer", ...Object.keys(BAND_OF)];

/** Points of one curve from which on the page asks for a thinned history. */
export const MAX_POINTS = 5000;
