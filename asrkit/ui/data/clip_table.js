// Clips of a dataset in a table, each with a button that plays it.

import { make } from "../common/dom.js";
import { audioUrl } from "../common/player.js";
import { t } from "../common/strings.js";

/** request: what names the dataset to the server. actions: of clips that can be changed (`ClipActions`), else null. */
export function makeClipTable(clips, player, request, actions) {
  const rows = clips.map((clip) => {
    const seconds = clip.seconds ? t("common.seconds", { value: clip.seconds.toFixed(1) }) : "";
    const text = make("td", {
      textContent: clip.text || t("data.no_text"), className: clip.text ? "" : "quiet", dir: "auto",
    });
    return make("tr", {},
      make("td", {}, makePlayButton(clip, player, request)),
      text,
      make("td", {
        className: "quiet aside",
        textContent: [clip.speaker, seconds, clip.detail].filter(Boolean).join(" · "),
        title: `${clip.where} · ${clip.name}`,
      }),
      actions && actions.makeButtons(clip, text));
  });
  return make("div", { className: "table" }, make("table", {}, make("tbody", {}, ...rows)));
}

function makePlayButton(clip, player, request) {
  const button = make("button", { type: "button", className: "play", textContent: "▶", title: clip.name });
  button.setAttribute("aria-label", t("data.play_clip", { name: clip.name }));
  const url = audioUrl("dataset", { ...request, index: clip.index, id: clip.id });
  button.addEventListener("click", () => player.toggle(button, url));
  return button;
}
