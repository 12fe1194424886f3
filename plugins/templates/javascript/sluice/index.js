// SDK for Sluice mappers in JavaScript. See README.md. Do not change the files of this folder.

import { pack, unpack } from './batch.js';
import { date } from './dates.js';
import { Finding, finding, object } from './fields.js';
import { referenceId } from './ids.js';
import { parse, write } from './json.js';

export { date, monthsAfter, yymmdd } from './dates.js';
export { amount, boolean, finding, integer, invalid, list, missing, number, object, optional, rule, text, unsigned } from './fields.js';
export { Decimal, fromMinorUnits, minorUnits } from './money.js';
export { isCountry } from './countries.js';
export { fractionDigits } from './currencies.js';
export { uuid } from './ids.js';

/**
 * Returns a mapper.
 *
 * @param {object} definition
 * @param {string} definition.name name in lower case; the mapper's own codes start with it in upper case
 * @param {string} definition.version version for readers
 * @param {Object<string, {key: string[], reads: object, lookups?: string[]}>} definition.sources tables of the old
 *   system in the order of upload, each with the fields that identify a record, the fields that are read with their
 *   types, and further fields by which its records can be looked up
 * @param {string[]} definition.produces entity types that the mapper produces
 * @param {string[]} [definition.codes] the mapper's own codes, of issues, rules and skips
 * @param {(record: Record, wanted: Wanted) => void} [definition.lookups] requests the loaded records for a record
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
    /** Maps a batch. `host` answers lookups. */
    transform(context, source, records, host) {
      const batch = { context, types, host, results: new Map(), consulted: false };
      const bodies = unpack(records).map((body) => new Record(batch, source, body));
      const out = new Output();
      if (lookups) lookUpAll(batch, bodies, lookups);
      bodies.forEach((record, position) => {
        out.position = position;
        try {
          map(record, out);
        } catch (thrown) {
          if (!(thrown instanceof Finding)) throw thrown;
          out.report(thrown);
        }
      });
      return out.finish();
    },
  };
}

/** A source record. */
export class Record {
  constructor(batch, source, body) {
    this.batch = batch;
    /** Source of the record. */
    this.source = source;
    this.body = body;
  }

  /** Returns the fields that the source declares under `reads`. Throws a finding at the field that does not fit. */
  parse() {
    return this.as(this.batch.types.get(this.source));
  }

  /** Returns the record read as another type, made with `object`. Throws a finding at the field that does not fit. */
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

  /** Returns the reference id, in this migration, of the record of an entity type with this natural key. */
  referenceId(entityType, key) {
    return referenceId(this.batch.context.migration, entityType, key);
  }

  /** Day on which the migration was registered, `yyyy-MM-dd`. A mapper has no other "today". */
  get registeredOn() {
    return date(this.batch.context.registeredOn);
  }

  /** Returns the loaded records of a source whose field has this value, if `lookups` has requested them. */
  find(source, field, key) {
    this.batch.consulted = true;
    return this.batch.results.get(lookupKey(source, field))?.get(String(key)) ?? [];
  }
}

/** Returns the key of a source and field in a Map. */
const lookupKey = (source, field) => `${source}\0${field}`;

/** The lookups that a batch requests. */
class Wanted {
  lookups = new Map();

  /** Requests the loaded records of a source whose field has this value. */
  find(source, field, key) {
    const at = lookupKey(source, field);
    if (!this.lookups.has(at)) this.lookups.set(at, { source, field, known: new Set(), pending: [] });
    const { known, pending } = this.lookups.get(at);
    const text = String(key);
    if (known.has(text)) return;
    known.add(text);
    pending.push(text);
  }
}

/** Maximum number of rounds of lookups that depend on one another. */
const MAX_ROUNDS = 4;
/** Maximum number of keys in one call. The host's default limit is 10,000. */
const MAX_KEYS = 4096;

/** Looks up all records that a batch requests. */
function lookUpAll(batch, bodies, lookups) {
  const wanted = new Wanted();
  let pending = bodies;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    // Only a record that read an answer in this round can have a lookup that depends on it.
    pending = pending.filter((record) => {
      batch.consulted = false;
      lookups(record, wanted);
      return batch.consulted;
    });
    if (!fetch(batch, wanted)) return;
  }
}

/** Looks up the requested keys that have not been looked up yet. Returns true if there were any. */
function fetch(batch, wanted) {
  let any = false;
  for (const [at, { source, field, pending }] of wanted.lookups) {
    if (!batch.results.has(at)) batch.results.set(at, new Map());
    const answers = batch.results.get(at);
    while (pending.length > 0) {
      const keys = pending.splice(0, MAX_KEYS);
      const found = batch.host.find(source, field, pack(keys));
      unpack(found.records).forEach((body, i) => {
        const key = keys[found.answers[i]];
        if (!answers.has(key)) answers.set(key, []);
        answers.get(key).push(new Record(batch, source, body));
      });
      any = true;
    }
  }
  return any;
}

/** The output of a mapper. */
class Output {
  position = 0;
  produced = new Map();
  skipped = new Map();
  issues = [];

  /** Adds a domain record. Numbers that are not whole must be Decimals. */
  put(entityType, record) {
    if (!this.produced.has(entityType)) this.produced.set(entityType, { texts: [], origins: [] });
    const { texts, origins } = this.produced.get(entityType);
    texts.push(write(record));
    origins.push(this.position);
  }

  /** Skips the source record: it is deliberately not migrated. `code` is the reason, and the mapper declares it. */
  skip(code) {
    if (!this.skipped.has(code)) this.skipped.set(code, []);
    this.skipped.get(code).push(this.position);
  }

  /** Adds a finding about the source record. It does not affect other output for the record. */
  report({ severity, code, field, rule }) {
    this.issues.push({ position: this.position, severity, code, field, rule });
  }

  /** Returns the result of the batch. */
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
