// Files of the run that the live panel shows, and its command line.

import { saveAsPage, saveAsPicture } from "../common/chart_export.js";
import { downloadFile, setText } from "../common/dom.js";
import { call } from "../common/server.js";
import { t } from "../common/strings.js";

export const makeDownloadUrl = (run, name) => `download/${encodeURIComponent(run)}/${name}`;

export class RunDownloads {
  constructor(panel) {
    const { element, part } = panel;
    Object.assign(this, { panel, part });
    part("command-close").addEventListener("click", () => { part("command-shown").hidden = true; });
    for (const button of element.querySelectorAll("[data-download]")) {
      button.addEventListener("click", () => this.download(button.dataset.download));
    }
  }

  async download(what) {
    const { panel } = this, { charts, run, props } = panel;
    panel.closeMenu();
    try {
      if (what === "command") await this.showCommand();
      else if (what === "picture") {
        await saveAsPicture(charts.exported(), run, `${run}.png`, charts.colour("--curve-text"));
      } else if (what === "page") await saveAsPage(charts.exported(), run, `${run}.html`, props.plotly_src);
      else downloadFile(makeDownloadUrl(run, what));
    } catch (error) {
      panel.showOffline(error);
    }
  }

  async showCommand() {
    const { panel, part } = this, reply = await call(panel.server, "make_command", { run: panel.run });
    panel.showNotice(reply.notice);
    if (reply.notice) return;
    setText(part("command-line"), reply.command);
    part("command-shown").hidden = false;
    let isCopied = true;
    try {
      await navigator.clipboard.writeText(reply.command);
    } catch {
      isCopied = false;
    }
    setText(part("copied"), t(isCopied ? "train.copied" : "train.copy_this"));
  }
}
