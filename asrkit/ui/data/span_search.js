// Where spans, ticks and tiles of a recording are: arithmetic without a page.

import { formatClock } from "../common/formats.js";

const MIN_TICK_PX = 80;
const TICKS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000];

/** The first index of ascending `values` whose value is at least `value`. */
export function lowerBound(values, value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

/** A tier with the length of its longest span, so that those that reach into a part can be found. */
export const indexTier = (tier) =>
  ({ ...tier, longestS: tier.start.reduce((most, start, index) => Math.max(most, tier.end[index] - start), 0) });

/** [first, stop): spans that may reach into the part from `fromS` to `toS`. */
export const spansWithin = (tier, fromS, toS) =>
  [lowerBound(tier.start, fromS - tier.longestS), lowerBound(tier.start, toS)];

/** The index of the span at a time: of several the one that begins last; -1 where there is none within `reachS`. */
export function spanAt(tier, timeS, reachS = 0) {
  const [first, stop] = spansWithin(tier, timeS - reachS, timeS + reachS);
  let best = -1, bestGap = reachS;
  for (let index = stop - 1; index >= first; index--) {
    const gap = Math.max(tier.start[index] - timeS, timeS - tier.end[index], 0);
    if (gap < bestGap || (gap === 0 && best === -1)) [best, bestGap] = [index, gap];
    if (bestGap === 0 && best !== -1) break;
  }
  return best;
}

/** The coarsest level, of bins of binS * 2 ** level seconds, that still has a bin for each pixel. */
export const chooseLevel = (binS, secondsPerPixel) =>
  Math.max(0, Math.min(16, Math.floor(Math.log2(Math.max(secondsPerPixel, binS) / binS))));

/** The seconds between two ticks, at least MIN_TICK_PX apart. */
export const chooseTick = (secondsPerPixel) =>
  TICKS_S.find((tickS) => tickS / secondsPerPixel >= MIN_TICK_PX) ?? TICKS_S.at(-1);

/** Seconds as m:ss.t, for a span. */
export const formatTime = (seconds) => {
  const tenths = Math.round(10 * Math.max(0, seconds));
  return `${formatClock(Math.floor(tenths / 10))}.${tenths % 10}`;
};

/** The setting `tiers` that chooses these tiers and speakers; null leaves the choice of either to the server. */
export function composeChoice(names, speakers) {
  const items = [...(names ?? []), ...(speakers ?? []).map((name) => `speaker:${name}`)];
  return items.map((item) => `"${item.replaceAll('"', '""')}"`).join(", ");
}
