//! Numbers, counts and tables as text.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

/// Style of tables: a line below the headers and no other.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Formats a number with commas between its thousands. Digits after a point stay as they are.
pub fn grouped(number: impl std::fmt::Display) -> String {
    let text = number.to_string();
    let (whole, rest) = text.find('.').map_or((text.as_str(), ""), |point| text.split_at(point));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// Formats a count with its noun, such as `1 record` or `2 records`.
pub fn counted(count: u64, noun: &str) -> String {
    let plural = noun.strip_suffix('y').map_or_else(|| format!("{noun}s"), |stem| format!("{stem}ies"));
    format!("{} {}", grouped(count), if count == 1 { noun } else { &plural })
}

/// Formats rows as a table. The first column and each column whose header begins with a blank hold text. The others hold
/// numbers and are aligned to the right.
pub fn table(headers: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(headers.iter().map(|header| header.trim_start()));
    for row in rows {
        table.add_row(row);
    }
    for (index, header) in headers.iter().enumerate().skip(1) {
        if let Some(column) = table.column_mut(index).filter(|_| !header.starts_with(' ')) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands() {
        let cases = [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-103261740.25", "-103,261,740.25")];
        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
    }
}
