// Before and after: what the base model writes of the recording on view, beside what the trained one has written.

import { setText } from "../common/dom.js";
import { call, warnNoAnswer } from "../common/server.js";
import { t } from "../common/strings.js";

/** Show both texts of a recording that is done, once the server has the base model's. isShown(): whether it is on view.
 *  Nothing is shown where the server leaves the comparison out. */
export async function showBefore(part, server, id, isShown) {
  let reply = {};
  try {
    reply = await call(server, "transcribe_before", { id });
  } catch (error) {
    warnNoAnswer(error);
  }
  if (reply.before === undefined || !isShown()) return;
  for (const name of ["before", "now"]) setText(part(`text-${name}`), reply[name] || t("common.nothing"));
  part("before-after").hidden = false;
}
