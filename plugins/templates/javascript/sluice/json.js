// JSON as the host and the other languages write it, with every number exact.

import { Decimal } from './money.js';

// Numbers that JSON.parse would change: fractions, exponents, and those of more than 15 digits.
const INEXACT = /\d[.eE]|\d{16}/;
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[{}[\],:]|true|false|null/g;

/** Reads a value: whole numbers are numbers (or BigInts where they are large), others are Decimals. */
export function parse(text) {
  const value = JSON.parse(text);
  return INEXACT.test(text) ? new Exact(text.match(TOKENS)).value() : value;
}

/** Reads text that is known to be JSON. */
class Exact {
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
    if (this.ends('}')) return object;
    do {
      const name = JSON.parse(this.tokens[this.at]);
      this.at += 2;
      object[name] = this.value();
    } while (this.tokens[this.at++] === ',');
    return object;
  }

  list() {
    const list = [];
    if (this.ends(']')) return list;
    do list.push(this.value());
    while (this.tokens[this.at++] === ',');
    return list;
  }

  ends(bracket) {
    const ends = this.tokens[this.at] === bracket;
    if (ends) this.at += 1;
    return ends;
  }
}

function number(token) {
  if (/[.eE]/.test(token)) return Decimal.parse(token) ?? NaN;
  const plain = Number(token);
  return Number.isSafeInteger(plain) ? plain : BigInt(token);
}

/** Writes a value without blanks, its fields in the order in which they were set; undefined fields are left out. */
export function write(value) {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw new TypeError('a text is not Unicode: it has half of a surrogate pair');
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
