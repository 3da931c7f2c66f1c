//! Tables and quantities as people read them. Pure: values in, text out.

use comfy_table::{ContentArrangement, Table, presets::NOTHING};

/// A table without lines: a header, then rows.
pub(crate) fn table<R, C>(header: &[&str], rows: R) -> String
where
    R: IntoIterator<Item = C>,
    C: Into<comfy_table::Row>,
{
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// One thing: a name and a value on each line.
pub(crate) fn record(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = lines
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Bytes with a binary suffix: `512 B`, `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const SUFFIXES: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = count as f64 / 1024.0;
    let mut suffix = SUFFIXES.iter();
    let mut name = suffix.next().unwrap_or(&"");
    for next in suffix {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        name = next;
    }
    format!("{value:.1} {name}")
}

/// Milliseconds in the unit that fits: `7 ms`, `1.5 s`, `3 min`, `2 h`.
pub(crate) fn millis(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// The end of a long name, where names differ.
pub(crate) fn tail(name: &str) -> String {
    const SHOWN: usize = 8;
    let skip = name.chars().count().saturating_sub(SHOWN);
    if skip == 0 {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(skip).collect::<String>())
    }
}

/// `a=1 b=2`.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let pairs = pairs.into_iter().map(|(k, v)| format!("{k}={v}"));
    pairs.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_short() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(50 << 20), "50.0 MiB");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(millis(7), "7 ms");
        assert_eq!(millis(1_540), "1.5 s");
        assert_eq!(tail("12D3KooWabcdefgh"), "…abcdefgh");
    }
}
