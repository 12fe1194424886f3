// Maps clients of the old bank to counterparties.

import { finding, mapper, text, unsigned, yymmdd } from './sluice/index.js';

export default mapper({
  name: '{{name}}',
  version: '0.1.0',
  sources: { client: { key: ['client_id'], reads: { client_id: unsigned, birth_number: text } } },
  produces: ['counterparties'],
  map(record, out) {
    const { client_id, birth_number } = record.parse();
    const birthDate = dayOfBirth(birth_number);
    if (birthDate === undefined) throw finding('INVALID_FORMAT', 'birth_number');
    const number = String(client_id);
    out.put('counterparties', {
      referenceId: record.referenceId('counterparties', number),
      type: 'person',
      initials: 'C.',
      surname: number,
      birthDate,
      externalReferences: [{ system: '{{name}}', value: number }],
    });
  },
});

/** Returns the day in a birth number, YYMMDD. For a woman, the month is increased by 50. */
function dayOfBirth(birthNumber) {
  if (!/^\d{6}$/.test(birthNumber)) return undefined;
  const number = Number(birthNumber);
  const woman = Math.trunc(number / 100) % 100 > 50;
  return yymmdd(woman ? number - 5000 : number);
}
