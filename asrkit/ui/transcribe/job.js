// Following a job of the server: an evaluation, an export.

import { sleep } from "../common/dom.js";

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
