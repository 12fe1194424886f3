// Reads `kind\traw` lines and writes the result of the JavaScript SDK for each. Then writes every known code. The first
// argument is the SDK's folder.

import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const sdk = await import(pathToFileURL(`${process.argv[2]}/index.js`).href);
const { pack, unpack } = await import(pathToFileURL(`${process.argv[2]}/batch.js`).href);
const { amount, integer, unsigned, number, text, finding } = sdk;
const types = { amount, integer, unsigned, number, date: text, id: text, currency: text, country: text };
const readers = {
  date: sdk.date,
  id: sdk.uuid,
  currency: sdk.fractionDigits,
  country: (code) => sdk.isCountry(code) || undefined,
};

const mapper = sdk.mapper({
  name: 'scalars',
  version: '0.1.0',
  sources: Object.fromEntries(Object.entries(types).map(([kind, value]) => [kind, { key: [], reads: { value } }])),
  produces: ['scalars'],
  map(record, out) {
    const { value } = record.parse();
    const read = readers[record.source] ? readers[record.source](value) : value;
    if (read === undefined) throw finding('INVALID_FORMAT', 'value');
    out.put('scalars', { value: read });
  },
});

const lines = readFileSync(0, 'utf8').split('\n').slice(0, -1).map((line) => line.split('\t'));
const context = { migration: new Uint8Array(16), registeredOn: '2026-01-31' };
for (const [kind, raw] of lines) {
  const made = mapper.transform(context, kind, pack([`{"value":${raw}}`]), {});
  const [issue] = made.issues;
  console.log(issue ? issue.code : unpack(made.produced[0].records)[0].slice('{"value":'.length, -1));
}
const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
const pairs = letters.flatMap((first) => letters.map((second) => first + second));
console.log(pairs.filter(sdk.isCountry).join(' '));
const triples = pairs.flatMap((pair) => letters.map((third) => pair + third));
const known = triples.filter((code) => sdk.fractionDigits(code) !== undefined);
console.log(known.map((code) => code + sdk.fractionDigits(code)).join(' '));
