// Following a job of the server: an evaluation, an export, a publication.

import { sleep } from "./dom.js";
import { formatWholePercent } from "./formats.js";
import { t } from "./strings.js";

const POLL_MS = 500;

/**
 * Ask for news of a job until it `isDone` or has failed. -> the last reply; null where the server refused to answer,
 * and undefined where the page follows another job by then.
 */
export async function followJob(post, id, { isFollowed, isDone, onProgress }) {
  while (isFollowed()) {
    const reply = await post("poll", { id });
    if (!reply || reply.failed || isDone(reply)) return reply;
    onProgress(reply);
    await sleep(POLL_MS);
  }
  return undefined;
}

/** How far a job is, in words. */
export function describeProgress({ waits, share, words }) {
  if (waits) return t("export.waiting");
  return share ? t("export.progress", { words, percent: formatWholePercent(share) }) : words || t("export.starting");
}
