// A link that opens the page with a model chosen, with a QR code for a phone's camera.

import { setText } from "../common/dom.js";
import { t } from "../common/strings.js";

const LOOPBACK = /^(localhost|127\.[\d.]+|\[::1\])$/;

/** -> the key of the sentence about an address: who can open it, and whether the microphone works there. */
export function describeAddress({ hostname, protocol }) {
  if (LOOPBACK.test(hostname)) return "phone.this_machine";
  return protocol === "https:" ? "phone.help" : "phone.no_microphone";
}

export class PhoneLink {
  constructor(part, make) {
    this.part = part;
    this.make = make;
  }

  async show(model) {
    const { part } = this, kind = describeAddress(location);
    part("phone").hidden = true;
    const reply = await this.make({ model, page: location.origin + location.pathname });
    if (!reply?.link) return;
    setText(part("phone-note"), t(kind));
    part("phone-code").src = reply.code;
    part("phone-link").href = reply.link;
    setText(part("phone-link"), reply.link);
    part("phone-shown").hidden = kind === "phone.this_machine";
    part("phone").hidden = false;
  }
}
