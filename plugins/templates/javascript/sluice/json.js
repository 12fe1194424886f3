// JSON in the form that the host and the other SDKs write, with exact numbers.

import { Decimal } from './money.js';

// Numbers that JSON.parse would round or reformat: fractions, exponents, and numbers of more than 15 digits.
const INEXACT = /\d[.eE]|\d{16}/;
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[{}[\],:]|true|false|null/g;

/** Reads a value. Whole numbers become numbers, or BigInts if they are large. Other numbers become Decimals. */
export function parse(text) {
  const value = JSON.parse(text);
  return INEXACT.test(text) ? new ExactReader(text.match(TOKENS)).value() : value;
}

/** A reader of the tokens of valid JSON. It keeps every number exact. */
class ExactReader {
  constructor(tokens) {
    this.tokens = tokens;
    this.at = 0;
  }

  value() {
    const token = this.tokens[this.at++];
    switch (token[0]) {
      case '{':
        return this.object();
      case '[':
        return this.list();
      case '"':
      case 't':
      case 'f':
      case 'n':
        return JSON.parse(token);
      default:
        return number(token);
    }
  }

  object() {
    const object = Object.create(null);
    if (this.skipEnd('}')) return object;
    do {
      const name = JSON.parse(this.tokens[this.at]);
      this.at += 2;
      object[name] = this.value();
    } while (this.tokens[this.at++] === ',');
    return object;
  }

  list() {
    const list = [];
    if (this.skipEnd(']')) return list;
    do list.push(this.value());
    while (this.tokens[this.at++] === ',');
    return list;
  }

  /** Skips the bracket if it is the next token. Returns true if it is. */
  skipEnd(bracket) {
    const isEnd = this.tokens[this.at] === bracket;
    if (isEnd) this.at += 1;
    return isEnd;
  }
}

/** Returns the number of a token. */
function number(token) {
  if (/[.eE]/.test(token)) return Decimal.parseJson(token) ?? NaN;
  const plain = Number(token);
  return Number.isSafeInteger(plain) ? plain : BigInt(token);
}

/** Writes a value without white space. Fields keep their order, and undefined fields are omitted. */
export function write(value) {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw new TypeError('the text is not valid Unicode: it has an unpaired surrogate');
      return JSON.stringify(value);
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'number':
      if (!Number.isSafeInteger(value)) throw new TypeError('a float is not exact: use a Decimal');
      return String(value);
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
      if (value instanceof Decimal) return value.toString();
      return writeObject(value);
    default:
      throw new TypeError(`a ${typeof value} cannot be written as JSON`);
  }
}

function writeObject(object) {
  let text = '';
  for (const name in object) {
    const value = object[name];
    if (value !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${write(value)}`;
  }
  return `{${text}}`;
}
