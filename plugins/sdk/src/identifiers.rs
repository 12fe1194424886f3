//! Identifiers with check digits: accounts, legal entities, and national registration numbers.
//!
//! `iban_validate` checks accounts: each country has its own form. The other checks are a few lines each. The libraries
//! that have them cover one identifier each and would take longer to compile than they save.

use crate::is_country;

/// A kind of identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierKind {
    /// International Bank Account Number, ISO 13616, in the electronic form: upper case, without spaces.
    Iban,
    /// Business Identifier Code, ISO 9362. It has a form and no check digits.
    Bic,
    /// Legal Entity Identifier, ISO 17442.
    Lei,
    /// A national registration number with check digits.
    National(&'static NationalNumber),
}

/// The form and check of a national registration number.
#[derive(Debug, PartialEq, Eq)]
pub struct NationalNumber {
    /// Name: the country's code, and the usual abbreviation.
    pub name: &'static str,
    /// Permitted numbers of digits.
    digits: &'static [usize],
    check: DigitCheck,
}

/// A check of the digits of a number.
#[derive(Debug, PartialEq, Eq)]
enum DigitCheck {
    /// The sum of the digits, each multiplied by its weight, is a multiple of the modulus.
    Weights(&'static [i32], i32),
    /// The last digit is 11 less the weighted sum of the others modulo 11.
    Modulo11(&'static [i32], TenBecomes),
    /// Every second digit from the right is doubled, and the sum of all digits is a multiple of 10.
    Luhn,
    /// The last two digits are 97 less the others modulo 97.
    Modulo97,
    /// A birth number: ten digits are a multiple of 11, or the last one is 0 and the others leave 10. Nine digits, as
    /// before 1954, have no check.
    BirthNumber,
}

/// The check digit where the calculation gives ten.
#[derive(Debug, PartialEq, Eq)]
enum TenBecomes {
    /// Zero. Eleven becomes one.
    Zero,
    /// No number has this check digit. Eleven becomes zero.
    Nothing,
}

/// National registration numbers.
const NATIONAL: &[NationalNumber] = &[
    number("BE-KBO", &[10], DigitCheck::Modulo97),
    number("CZ-ICO", &[8], DigitCheck::Modulo11(&[8, 7, 6, 5, 4, 3, 2], TenBecomes::Zero)),
    number("CZ-RC", &[9, 10], DigitCheck::BirthNumber),
    number("DK-CVR", &[8], DigitCheck::Weights(&[2, 7, 6, 5, 4, 3, 2, 1], 11)),
    number("FR-SIREN", &[9], DigitCheck::Luhn),
    number("NL-BSN", &[9], DigitCheck::Weights(&[9, 8, 7, 6, 5, 4, 3, 2, -1], 11)),
    number("NL-RSIN", &[9], DigitCheck::Weights(&[9, 8, 7, 6, 5, 4, 3, 2, -1], 11)),
    number("NO-ORGNR", &[9], DigitCheck::Modulo11(&[3, 2, 7, 6, 5, 4, 3, 2], TenBecomes::Nothing)),
    number("PL-NIP", &[10], DigitCheck::Weights(&[6, 5, 7, 2, 3, 4, 5, 6, 7, -1], 11)),
    number("PL-PESEL", &[11], DigitCheck::Weights(&[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1], 10)),
    number("SE-ORGNR", &[10], DigitCheck::Luhn),
    number("SK-RC", &[9, 10], DigitCheck::BirthNumber),
];

const fn number(name: &'static str, digits: &'static [usize], check: DigitCheck) -> NationalNumber {
    NationalNumber { name, digits, check }
}

/// Reason why a text is no identifier of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierError {
    /// The text has another form.
    Form,
    /// The check digits are wrong.
    CheckDigits,
}

impl IdentifierError {
    /// Returns the code of the issue.
    pub fn code(self) -> &'static str {
        match self {
            Self::Form => "INVALID_FORMAT",
            Self::CheckDigits => "INVALID_CHECK_DIGITS",
        }
    }
}

impl IdentifierKind {
    /// Returns the kind with this name: `IBAN`, `BIC`, `LEI`, or a national number such as `NL-BSN`. Returns none for any
    /// other text.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "IBAN" => Some(Self::Iban),
            "BIC" => Some(Self::Bic),
            "LEI" => Some(Self::Lei),
            // The name of a national number has its hyphen after the country.
            _ if name.as_bytes().get(2) == Some(&b'-') => {
                NATIONAL.iter().find(|known| known.name == name).map(Self::National)
            }
            _ => None,
        }
    }

    /// Returns the names of all kinds.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ["IBAN", "BIC", "LEI"].into_iter().chain(NATIONAL.iter().map(|known| known.name))
    }

    /// Checks an identifier of this kind.
    ///
    /// # Errors
    ///
    /// If the text has another form, or if its check digits are wrong.
    pub fn check(self, text: &str) -> Result<(), IdentifierError> {
        match self {
            Self::Iban => check_iban(text),
            Self::Bic => {
                if is_bic(text.as_bytes()) {
                    Ok(())
                } else {
                    Err(IdentifierError::Form)
                }
            }
            Self::Lei => check_lei(text.as_bytes()),
            Self::National(number) => number.check(text),
        }
    }
}

/// Checks an account. An account of a country that the library does not know is valid if its check digits are.
fn check_iban(text: &str) -> Result<(), IdentifierError> {
    // The library also reads the printed form, in groups of four characters.
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) {
        return Err(IdentifierError::Form);
    }
    match text.parse::<iban::Iban>() {
        Ok(_) | Err(iban::ParseIbanError::UnknownCountry(_)) => Ok(()),
        Err(iban::ParseIbanError::InvalidBaseIban { source: iban::ParseBaseIbanError::InvalidChecksum }) => {
            Err(IdentifierError::CheckDigits)
        }
        Err(_) => Err(IdentifierError::Form),
    }
}

/// Returns true for four letters or digits, a country, two letters or digits, and three more for a branch.
fn is_bic(text: &[u8]) -> bool {
    let is_code = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    let country = text.get(4..6).and_then(|country| std::str::from_utf8(country).ok()).unwrap_or_default();
    // Kosovo has no code of ISO 3166-1, and its banks use this one.
    matches!(text.len(), 8 | 11) && text.iter().all(is_code) && (is_country(country) || country == "XK")
}

/// Checks a Legal Entity Identifier: 18 letters or digits, and two check digits.
fn check_lei(text: &[u8]) -> Result<(), IdentifierError> {
    let is_code = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    if text.len() != 20 || !text.iter().all(is_code) || !text[18..].iter().all(u8::is_ascii_digit) {
        return Err(IdentifierError::Form);
    }
    // ISO 7064: letters count from 10, and the whole number leaves 1 modulo 97.
    let remainder = text.iter().fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    if remainder == 1 { Ok(()) } else { Err(IdentifierError::CheckDigits) }
}

impl NationalNumber {
    fn check(&self, text: &str) -> Result<(), IdentifierError> {
        // Numbers are also printed in groups, such as 0417.497.106 or 706213/0001.
        let separators: &[char] = &[' ', '.', '-', '/'];
        let text = text.replace(separators, "");
        let digits: Option<Vec<i32>> = text.chars().map(|c| c.to_digit(10).map(|digit| digit as i32)).collect();
        let digits = digits.ok_or(IdentifierError::Form)?;
        if !self.digits.contains(&digits.len()) || digits.iter().all(|digit| *digit == 0) {
            return Err(IdentifierError::Form);
        }
        if self.check.holds(&digits) { Ok(()) } else { Err(IdentifierError::CheckDigits) }
    }
}

impl DigitCheck {
    /// Returns true if the check digits of a number are right.
    fn holds(&self, digits: &[i32]) -> bool {
        let weighted = |weights: &[i32]| weights.iter().zip(digits).map(|(weight, digit)| weight * digit).sum::<i32>();
        let remainder =
            |digits: &[i32], modulus: i32| digits.iter().fold(0, |rest, digit| (rest * 10 + digit) % modulus);
        let (last, others) = digits.split_last().unwrap_or((&0, &[]));
        match self {
            Self::Weights(weights, modulus) => weighted(weights) % modulus == 0,
            Self::Modulo11(weights, ten) => match (11 - weighted(weights) % 11, ten) {
                (10, TenBecomes::Nothing) => false,
                (check @ 10..=11, TenBecomes::Zero) => check - 10 == *last,
                (check, _) => check % 11 == *last,
            },
            Self::Luhn => {
                let doubled = |(index, digit): (usize, &i32)| match digit * (1 + index as i32 % 2) {
                    sum @ 0..=9 => sum,
                    sum => sum - 9,
                };
                digits.iter().rev().enumerate().map(doubled).sum::<i32>() % 10 == 0
            }
            Self::Modulo97 => {
                let (number, check) = digits.split_at(digits.len() - 2);
                97 - remainder(number, 97) == check[0] * 10 + check[1]
            }
            Self::BirthNumber => {
                digits.len() == 9 || remainder(digits, 11) == 0 || *last == 0 && remainder(others, 11) == 10
            }
        }
    }
}
