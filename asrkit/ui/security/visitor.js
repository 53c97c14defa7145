// Who is signed in. Elements that need what they may not do are hidden by visitor.css: `data-needs`.

import { make, partsOf, setText } from "../common/dom.js";
import { createConfirmation } from "../common/confirm.js";
import { call, createPost, warnNoAnswer } from "../common/server.js";
import { t } from "../common/strings.js";

const DONE_KEY = "asrkit-done"; // what to say after the page is loaded again

export async function mount({ element, server }) {
  const part = partsOf(element);
  part("sign-out").addEventListener("click", async () => {
    await fetch("sign-out", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
    location.reload();
  });
  const confirmation = createConfirmation();
  part("delete-data").addEventListener("click", async ({ currentTarget: button }) => {
    if (!confirmation.isArmed(button)) {
      confirmation.arm(button, t("visitor.confirm_delete_data"));
      return;
    }
    if (button.ariaDisabled) return;
    confirmation.reset();
    const showResult = (text) => setText(part("deleted"), text);
    const reply = await createPost(server, showResult)("delete_data", {});
    if (!reply) return;
    sessionStorage.setItem(DONE_KEY, reply.done);
    location.reload(); // every tab may show something that is gone
  });
  setText(part("deleted"), sessionStorage.getItem(DONE_KEY) ?? "");
  sessionStorage.removeItem(DONE_KEY);
  try {
    show(part, await call(server, "describe_visitor", {}));
  } catch (error) {
    warnNoAnswer(error);
  }
}

function show(part, reply) {
  document.documentElement.dataset.denied = reply.denied.join(" ");
  setText(part("who"), reply.who);
  part("sign-out").hidden = !reply.can_sign_out;
  part("delete-data").hidden = !reply.has_data;
  part("notes").replaceChildren(...reply.notes.map((text) => make("p", { className: "callout", textContent: text })));
}
