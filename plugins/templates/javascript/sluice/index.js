// What a Sluice mapper is written with. See README.md; everything here is yours to read, nothing has to be changed.

import { pack, unpack } from './batch.js';
import { date } from './dates.js';
import { Finding, finding, object } from './fields.js';
import { referenceId } from './ids.js';
import { parse, write } from './json.js';

export { date, monthsAfter, yymmdd } from './dates.js';
export { amount, boolean, finding, integer, invalid, list, missing, object, optional, rule, text, unsigned } from './fields.js';
export { Decimal, fromMinorUnits, minorUnits } from './money.js';
export { fractionDigits } from './currencies.js';

/**
 * A mapper.
 *
 * @param {object} definition
 * @param {string} definition.name lower-case; codes of its own start with it in upper case
 * @param {string} definition.version for people
 * @param {Object<string, {key: string[], reads: object, lookups?: string[]}>} definition.sources tables of the old
 *   system in the order of upload, each with the fields that identify a record, the fields that are read with their
 *   types, and further fields by which its records may be looked up
 * @param {string[]} definition.produces entity types
 * @param {string[]} [definition.codes] codes of its own, of issues, rules and skips
 * @param {(record: Record, wanted: Wanted) => void} [definition.lookups] names the loaded records that a record needs
 * @param {(record: Record, out: Output) => void} definition.map maps one record
 */
export function mapper({ name, version, sources, produces, codes = [], lookups, map }) {
  const tables = Object.entries(sources).map(([source, { key, reads, lookups = [] }]) => {
    const type = object(reads);
    return [source, { key, lookups, type, fields: [...new Set(type.names)] }];
  });
  const types = new Map(tables.map(([source, { type }]) => [source, type]));
  const description = {
    name,
    version,
    sources: tables.map(([source, { key, lookups, fields }]) => ({ name: source, key, lookups, fields })),
    entityTypes: produces,
    codes,
  };
  return {
    describe: () => description,
    /** Maps a batch; `host` answers lookups and takes the message of an exception. */
    transform(context, source, records, host) {
      const run = { context, types, host, joined: new Map(), consulted: false };
      const bodies = unpack(records).map((body) => new Record(run, source, body));
      const out = new Output();
      try {
        if (lookups) join(run, bodies, lookups);
        bodies.forEach((record, position) => {
          out.position = position;
          try {
            map(record, out);
          } catch (thrown) {
            if (!(thrown instanceof Finding)) throw thrown;
            out.report(thrown);
          }
        });
      } catch (error) {
        host.panicked(`${error}\n${error?.stack ?? ''}`.trim());
        throw error;
      }
      return out.finish();
    },
  };
}

/** A source record. */
export class Record {
  constructor(run, source, body) {
    this.run = run;
    /** The source that it belongs to. */
    this.source = source;
    this.body = body;
  }

  /** Its fields, as its source declares them under `reads`; a record that does not fit gets an issue at the field. */
  parse() {
    return this.as(this.run.types.get(this.source));
  }

  /** The record read as another type, made with `object`. */
  as(type) {
    if (this.body === undefined) throw finding('INVALID_ENCODING');
    let value;
    try {
      value = parse(this.body);
    } catch {
      throw finding('INVALID_JSON');
    }
    return type.read(value, '');
  }

  /** The reference id, in this migration, of the record of an entity type with this natural key. */
  referenceId(entityType, key) {
    return referenceId(this.run.context.migration, entityType, key);
  }

  /** The day on which the migration was registered, `yyyy-MM-dd`: a mapper has no other "today". */
  get registeredOn() {
    return date(this.run.context.registeredOn);
  }

  /** Loaded records of a source whose field has this value. What `lookups` did not ask for is not found here. */
  find(source, field, key) {
    this.run.consulted = true;
    return this.run.joined.get(place(source, field))?.get(String(key)) ?? [];
  }
}

const place = (source, field) => `${source}\0${field}`;

/** Keys that a batch wants to look up. */
class Wanted {
  tables = new Map();

  /** Asks for the loaded records of a source whose field has this value. */
  find(source, field, key) {
    const at = place(source, field);
    if (!this.tables.has(at)) this.tables.set(at, { source, field, known: new Set(), pending: [] });
    const { known, pending } = this.tables.get(at);
    const text = String(key);
    if (known.has(text)) return;
    known.add(text);
    pending.push(text);
  }
}

/** Rounds of lookups that may follow from one another, and keys in one call: below the host's default limit. */
const MAX_ROUNDS = 4;
const MAX_KEYS = 4096;

function join(run, bodies, lookups) {
  const wanted = new Wanted();
  let asking = bodies;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    // What follows from an answer is asked by whoever looked for that answer, and by nobody else.
    asking = asking.filter((record) => {
      run.consulted = false;
      lookups(record, wanted);
      return run.consulted;
    });
    if (!fetch(run, wanted)) return;
  }
}

function fetch(run, wanted) {
  let any = false;
  for (const [at, { source, field, pending }] of wanted.tables) {
    if (!run.joined.has(at)) run.joined.set(at, new Map());
    const answers = run.joined.get(at);
    while (pending.length > 0) {
      const keys = pending.splice(0, MAX_KEYS);
      const found = run.host.find(source, field, pack(keys));
      unpack(found.records).forEach((body, i) => {
        const key = keys[found.answers[i]];
        if (!answers.has(key)) answers.set(key, []);
        answers.get(key).push(new Record(run, source, body));
      });
      any = true;
    }
  }
  return any;
}

/** Where a mapper puts what it makes of one record. */
class Output {
  position = 0;
  produced = new Map();
  skipped = new Map();
  issues = [];

  /** Puts a domain record. Numbers that are not whole are Decimals. */
  put(entityType, record) {
    if (!this.produced.has(entityType)) this.produced.set(entityType, { texts: [], origins: [] });
    const { texts, origins } = this.produced.get(entityType);
    texts.push(write(record));
    origins.push(this.position);
  }

  /** Says that the record is rightly not migrated, and why: a code that the mapper declares. */
  skip(code) {
    if (!this.skipped.has(code)) this.skipped.set(code, []);
    this.skipped.get(code).push(this.position);
  }

  /** Adds what is wrong with the record, beside whatever else becomes of it. */
  report({ severity, code, field, rule }) {
    this.issues.push({ position: this.position, severity, code, field, rule });
  }

  finish() {
    const produced = [...this.produced].map(([entityType, { texts, origins }]) => ({
      entityType,
      records: pack(texts),
      origins: Uint32Array.from(origins),
    }));
    const skipped = [...this.skipped].map(([code, positions]) => ({ code, positions: Uint32Array.from(positions) }));
    return { produced, skipped, issues: this.issues };
  }
}
