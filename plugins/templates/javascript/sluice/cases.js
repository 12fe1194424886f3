// Runs cases in Node.js, without Wasm. See "Cases" in README.md.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { pack, unpack } from './batch.js';
import { parse } from './json.js';

/** Context of the fixed migration that every case belongs to. */
const CONTEXT = { migration: new TextEncoder().encode('sluice-test-case'), registeredOn: '2026-01-31' };

/** Creates a test for each case in a folder. */
export function runCases(mapper, folder) {
  const codes = [...mapper.describe().codes, ...platformCodes()];
  for (const name of readdirSync(folder).sort()) {
    test(name, () => {
      const [lines, issues] = runCase(mapper, join(folder, name), name.split('.')[0]);
      assert.deepEqual(lines, read(join(folder, name, 'expected.jsonl')), 'records');
      const expected = join(folder, name, 'issues.json');
      assert.deepEqual(issues, existsSync(expected) ? JSON.parse(readFileSync(expected, 'utf8')) : [], 'issues');
      for (const { code, skipped } of issues) {
        assert.ok(codes.includes(code ?? skipped), `${code ?? skipped} is not a code that the mapper declares`);
      }
    });
  }
}

/** Runs a case. Returns its records as lines, and its issues and skips. */
function runCase(mapper, folder, source) {
  const input = numbered(read(join(folder, 'input.jsonl')));
  const records = pack(input.map(([, text]) => text));
  const output = mapper.transform(CONTEXT, source, records, host(mapper, join(folder, 'loaded')));
  const lines = mapper.describe().entityTypes.flatMap((entityType) => {
    const bodies = output.produced.filter((produced) => produced.entityType === entityType);
    const texts = bodies.flatMap((produced) => unpack(produced.records));
    return texts.map((text) => `{"entityType":"${entityType}","record":${text}}`);
  });
  const line = (position) => input[position][0];
  const issues = output.issues.map(({ position, severity, code, field, rule }) => ({
    line: line(position),
    severity,
    code,
    ...(field === '' ? {} : { field }),
    ...(rule === undefined ? {} : { rule }),
  }));
  for (const { code, positions } of output.skipped) {
    issues.push(...[...positions].map((position) => ({ line: line(position), skipped: code })));
  }
  const accounted = new Set(output.produced.flatMap(({ origins }) => [...origins].map(line)));
  issues.filter(({ severity }) => severity !== 'warning').forEach((issue) => accounted.add(issue.line));
  for (const [number] of input) {
    if (!accounted.has(number)) issues.push({ line: number, severity: 'error', code: 'NOT_ACCOUNTED_FOR' });
  }
  return [lines, issues.sort((a, b) => a.line - b.line)];
}

/** Returns a host that answers lookups from `loaded/SOURCE.jsonl`. */
function host(mapper, folder) {
  const find = (source, field, keys) => {
    const described = mapper.describe().sources.find(({ name }) => name === source);
    const known = described && (described.key.join('+') === field || described.lookups.includes(field));
    if (!known) throw new Error(`${source} cannot be looked up by ${field}: the mapper does not declare it`);
    const loaded = read(join(folder, `${source}.jsonl`)).map((text) => [keyOf(parse(text), field), text]);
    const found = unpack(keys).flatMap((key, i) => loaded.filter((one) => one[0] === key).map(([, text]) => [i, text]));
    return { records: pack(found.map(([, text]) => text)), answers: found.map(([i]) => i) };
  };
  return { find };
}

/** Returns the value of a key; the values of several fields are joined by U+001F. */
const keyOf = (record, field) => field.split('+').map((name) => String(record[name])).join('\u001f');
/** Returns the lines that are not empty, with their numbers. */
const numbered = (lines) => lines.map((text, i) => [i + 1, text]).filter(([, text]) => text.trim() !== '');

/** Returns the lines of a file, none if the file does not exist. */
function read(file) {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return text.split('\n').filter((line, i, all) => i < all.length - 1 || line !== '');
}

/** Returns the codes that a mapper need not declare. */
function platformCodes() {
  const lines = read(join(import.meta.dirname ?? '.', '..', 'wit', 'codes.txt'));
  const codes = lines.filter((line) => !line.startsWith('#')).map((line) => line.split(' ')[0]);
  return [...codes, 'NOT_ACCOUNTED_FOR'];
}
