// Exceptions as text, for the list beside quarantined records.

/** Maximum number of characters of an exception's own message. The host keeps 4 KiB of a text. */
const MAX_MESSAGE = 1000;
/** Maximum number of functions of one exception. */
const MAX_FRAMES = 20;
/** Maximum number of exceptions of which one caused the other. */
const MAX_CAUSES = 4;

/** Returns type and message of an exception, and function, file and line of each frame, the innermost first. */
export function describe(error) {
  const parts = [];
  for (let one = error, left = MAX_CAUSES; left > 0; left--, one = one.cause) {
    parts.push(title(one) + stack(one));
    if (one?.cause === undefined || one.cause === null) break;
  }
  return parts.join('\ncaused by ');
}

function title(error) {
  let text;
  try {
    text = error instanceof Error ? String(error) : `thrown: ${JSON.stringify(error) ?? String(error)}`;
  } catch {
    text = 'an exception whose message cannot be read';
  }
  return text.slice(0, MAX_MESSAGE);
}

function stack(error) {
  const lines = error instanceof Error && typeof error.stack === 'string' ? error.stack.split('\n') : [];
  // Some engines repeat the message before the frames. The toolchain's own file has a path of the machine that built it.
  const isFrame = (line) => /:\d+(:\d+)?\)?$/.test(line) && !line.includes('/initializer.js:');
  const frames = lines.map((line) => line.trim()).filter(isFrame);
  const left = frames.length - MAX_FRAMES;
  const shown = left > 0 ? [...frames.slice(0, MAX_FRAMES), `and ${left} more`] : frames;
  return shown.map((frame) => `\n  ${frame}`).join('');
}
