//! Check digits of identifiers.

use sluice_sdk::identifiers::IdentifierKind;

/// A kind, a text, and the code of its issue. Empty for none. The numbers are those of public examples.
const ROWS: &[(&str, &str, &str)] = &[
    ("IBAN", "NL91ABNA0417164300", ""),
    ("IBAN", "GB29NWBK60161331926819", ""),
    ("IBAN", "XK051212012345678906", ""),
    ("IBAN", "NL00FAKE0000000000", "INVALID_CHECK_DIGITS"),
    ("IBAN", "NL91ABNA0417164301", "INVALID_CHECK_DIGITS"),
    ("IBAN", "NL91 ABNA 0417 1643 00", "INVALID_FORMAT"),
    ("IBAN", "nl91abna0417164300", "INVALID_FORMAT"),
    ("IBAN", "NL", "INVALID_FORMAT"),
    ("BIC", "ABNANL2A", ""),
    ("BIC", "ABNANL2AXXX", ""),
    ("BIC", "ABNAXX2A", "INVALID_FORMAT"),
    ("BIC", "ABNANL2", "INVALID_FORMAT"),
    ("BIC", "abnanl2a", "INVALID_FORMAT"),
    ("BIC", "ABNÄNL2", "INVALID_FORMAT"),
    ("LEI", "529900T8BM49AURSDO55", ""),
    ("LEI", "529900T8BM49AURSDO56", "INVALID_CHECK_DIGITS"),
    ("LEI", "529900T8BM49AURSD055", "INVALID_CHECK_DIGITS"),
    ("LEI", "529900t8bm49aursdo55", "INVALID_FORMAT"),
    ("LEI", "529900T8BM49AURSDO5", "INVALID_FORMAT"),
    ("LEI", "529900T8BM49AURSDOXX", "INVALID_FORMAT"),
    ("BE-KBO", "0417497106", ""),
    ("BE-KBO", "0417.497.106", ""),
    ("BE-KBO", "0417497107", "INVALID_CHECK_DIGITS"),
    ("CZ-ICO", "27074358", ""),
    ("CZ-ICO", "27074359", "INVALID_CHECK_DIGITS"),
    ("CZ-ICO", "00000000", "INVALID_FORMAT"),
    ("CZ-RC", "7103192745", ""),
    ("CZ-RC", "710319/2745", ""),
    ("CZ-RC", "7103192746", "INVALID_CHECK_DIGITS"),
    ("CZ-RC", "530101123", ""),
    ("SK-RC", "7103192745", ""),
    ("DK-CVR", "13585628", ""),
    ("DK-CVR", "13585629", "INVALID_CHECK_DIGITS"),
    ("FR-SIREN", "732829320", ""),
    ("FR-SIREN", "732829321", "INVALID_CHECK_DIGITS"),
    ("NL-BSN", "111222333", ""),
    ("NL-BSN", "111222334", "INVALID_CHECK_DIGITS"),
    ("NL-BSN", "11122233", "INVALID_FORMAT"),
    ("NL-RSIN", "123456782", ""),
    ("NL-RSIN", "000000000", "INVALID_FORMAT"),
    ("NO-ORGNR", "974760673", ""),
    ("NO-ORGNR", "974760674", "INVALID_CHECK_DIGITS"),
    ("PL-NIP", "1234563218", ""),
    ("PL-NIP", "1234563219", "INVALID_CHECK_DIGITS"),
    ("PL-PESEL", "44051401359", ""),
    ("PL-PESEL", "44051401358", "INVALID_CHECK_DIGITS"),
    ("SE-ORGNR", "5560360793", ""),
    ("SE-ORGNR", "556036-0793", ""),
    ("SE-ORGNR", "5560360794", "INVALID_CHECK_DIGITS"),
];

#[test]
fn checks_every_kind() {
    for (name, text, expected) in ROWS {
        let kind = IdentifierKind::named(name).unwrap_or_else(|| panic!("{name} is a kind"));
        assert_eq!(kind.check(text).err().map_or("", |error| error.code()), *expected, "{name} {text}");
    }
    for name in IdentifierKind::names() {
        assert!(ROWS.iter().any(|(kind, _, expected)| *kind == name && expected.is_empty()), "{name} has no valid row");
    }
    for name in ["", "iban", "core", "XX-", "NL-KVK", "LEI "] {
        assert_eq!(IdentifierKind::named(name), None, "{name}");
    }
}
