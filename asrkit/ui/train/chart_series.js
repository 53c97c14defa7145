// Which curves stand in which chart of the live panel.

export const PLOTS = {
  loss: { curves: ["train/loss", "eval/loss"], smooth: true, marks: true },
  rates: { curves: ["eval/wer", "eval/cer", "eval/mer", "eval/greedy_wer"], percent: true, marks: true },
  learning_rate: { curves: ["train/learning_rate"] },
  grad_norm: { curves: ["train/grad_norm"], smooth: true },
  speed: { curves: ["train/audio_seconds_per_second"], smooth: true },
  memory: { curves: ["train/memory_gb"] },
};

export const SERIES = Object.values(PLOTS).flatMap((plot) => plot.curves);

/** Drawn only where a run has them. */
export const OPTIONAL_SERIES = ["eval/mer", "eval/greedy_wer"];

/** Points of one curve from which on the page asks for a thinned history. */
export const MAX_POINTS = 5000;
