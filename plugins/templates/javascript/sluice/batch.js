// Packing and unpacking of batches: concatenated records and the end of each.

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Returns the records of a batch as texts. A record that is not UTF-8 is undefined. */
export function unpack({ bytes, ends }) {
  const whole = decode(bytes);
  const texts = new Array(ends.length);
  // If all records are ASCII, each character is one byte, and one decoded text can be sliced.
  const isAscii = whole !== undefined && whole.length === bytes.length;
  for (let i = 0, start = 0; i < ends.length; start = ends[i++]) {
    texts[i] = isAscii ? whole.slice(start, ends[i]) : decode(bytes.subarray(start, ends[i]));
  }
  return texts;
}

/** Returns bytes as text, undefined if they are not UTF-8. */
function decode(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Returns texts as a batch. */
export function pack(texts) {
  const whole = texts.join('');
  const bytes = encoder.encode(whole);
  const isAscii = bytes.length === whole.length;
  const ends = new Uint32Array(texts.length);
  texts.forEach((text, i) => {
    ends[i] = (i === 0 ? 0 : ends[i - 1]) + (isAscii ? text.length : encoder.encode(text).length);
  });
  return { bytes, ends };
}
