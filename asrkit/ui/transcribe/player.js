// Plays stretches of a recording, fetched as they are needed, whatever the format it came in.

const STRETCH_S = 20, EDGE_S = 0.05;

// moved(at_s | null) is told where it is while it plays, and null when it ends.
function player(moved) {
  let context = null, playing = null;

  async function play(id, start_s, end_s) {
    stop();
    const mine = playing = { source: null };
    moved(start_s); // what was clicked shows at once that it was
    try { await through(mine, id, start_s, end_s); } catch (error) { complain(`The sound cannot be played (${error.message ?? error}).`); }
    if (playing === mine) stop();
  }

  async function through(mine, id, start_s, end_s) {
    context ??= new AudioContext();
    await wake(context);
    let at = start_s, next = fetched(id, at, end_s);
    while (at < end_s - 0.01 && playing === mine) {
      const sound = await next;
      if (!sound || playing !== mine) break;
      const until = at + sound.duration;
      next = until < end_s - 0.01 ? fetched(id, until, end_s) : null;
      next?.catch(() => {}); // said when it is due
      await heard(mine, sound, at);
      at = until;
    }
  }

  async function fetched(id, start_s, end_s) {
    const told = await answered("sound", { id, start_s, end_s: Math.min(end_s, start_s + STRETCH_S) });
    if (told.error) complain(told.error);
    if (told.error || atob(told.wav).length <= 44) return null;
    return context.decodeAudioData(Uint8Array.from(atob(told.wav), (letter) => letter.charCodeAt(0)).buffer);
  }

  function heard(mine, sound, offset) {
    return new Promise((resolve) => {
      const source = mine.source = context.createBufferSource(), begun = context.currentTime;
      source.buffer = sound;
      source.connect(context.destination);
      source.onended = resolve;
      source.start();
      const follow = () => {
        if (playing !== mine || mine.source !== source) return;
        moved(offset + Math.min(sound.duration, context.currentTime - begun));
        requestAnimationFrame(follow);
      };
      follow();
    });
  }

  function stop() {
    const before = playing;
    playing = null;
    before?.source?.stop();
    moved(null);
  }

  return { play, stop, playing: () => playing !== null };
}
