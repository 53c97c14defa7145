// Reading in a run that was archived, here or on another machine.

import { isBusy, onFilesChosen, setBusy, setText, showMessage } from "../common/dom.js";
import { createPost } from "../common/server.js";
import { t } from "../common/strings.js";

/** Let people choose an archive; `onImported` is called with the id of its run. */
export function wireImport(part, { server, upload, onImported }) {
  const showError = (message) => showMessage(part("import-error"), message);
  const post = createPost(server, showError);
  part("import").addEventListener("click", () => {
    if (!isBusy(part("import"))) part("import-file").click();
  });
  onFilesChosen(part("import-file"), async ([file]) => {
    showError("");
    setBusy(part("import"), true);
    setText(part("import-note"), t("runs.importing", { name: file.name }));
    try {
      const { path } = await upload(file);
      const reply = await post("import_run", { path, name: file.name });
      if (reply) onImported(reply.run);
    } catch (error) {
      showError(t("data.upload_failed", { name: file.name, reason: error.message || error }));
    }
    setBusy(part("import"), false);
    setText(part("import-note"), "");
  });
}
