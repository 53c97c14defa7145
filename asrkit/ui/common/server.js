// Calls of the server's functions, which Gradio hands to a component's script.

import { t } from "./strings.js";

/** Call a function of the server. Where the app is gone Gradio gives nothing, and no error: that is thrown here. */
export async function call(server, name, request) {
  const reply = await server[name](request);
  if (!reply) throw new Error(t("common.no_answer_reason"));
  return reply;
}

/** -> post(name, request): the reply, or null after `onError` was called with a message. */
export function createPost(server, onError) {
  return async function post(name, request) {
    try {
      const reply = await call(server, name, request);
      if (!reply.error) return reply;
      onError(reply.error);
    } catch (error) {
      warnNoAnswer(error);
      onError(t("common.no_answer"));
    }
    return null;
  };
}

export const warnNoAnswer = (error) => console.warn("asrkit: no answer", error);

/** A random name of this page, by which the server counts how many pages poll. */
export const createPageId = () => Math.random().toString(36).slice(2);
