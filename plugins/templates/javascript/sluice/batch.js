// Packs and unpacks batches: records end to end, and where each ends.

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** The texts in a batch; undefined for one that is not UTF-8. */
export function unpack({ bytes, ends }) {
  const whole = decode(bytes);
  const texts = new Array(ends.length);
  // In ASCII a letter is a byte, and the whole is read at once.
  const plain = whole !== undefined && whole.length === bytes.length;
  for (let i = 0, start = 0; i < ends.length; start = ends[i++]) {
    texts[i] = plain ? whole.slice(start, ends[i]) : decode(bytes.subarray(start, ends[i]));
  }
  return texts;
}

function decode(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Texts as a batch. */
export function pack(texts) {
  const whole = texts.join('');
  const bytes = encoder.encode(whole);
  const plain = bytes.length === whole.length;
  const ends = new Uint32Array(texts.length);
  texts.forEach((text, i) => {
    ends[i] = (i === 0 ? 0 : ends[i - 1]) + (plain ? text.length : encoder.encode(text).length);
  });
  return { bytes, ends };
}
