// Who is signed in. Elements that need what they may not do are hidden by visitor.css: `data-needs`.

import { make, partsOf, setText } from "../common/dom.js";
import { call, warnNoAnswer } from "../common/server.js";

export async function mount({ element, server }) {
  const part = partsOf(element);
  part("sign-out").addEventListener("click", async () => {
    await fetch("sign-out", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
    location.reload();
  });
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
  part("notes").replaceChildren(...reply.notes.map((text) => make("p", { className: "callout", textContent: text })));
}
