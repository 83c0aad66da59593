//! A recorded rate as a schedule, from a result file or from a table that another system
//! wrote.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use encarno_record::decimal;
use encarno_record::frame::RESULT_MAGIC;
use encarno_record::results::{Block, whole};

use super::{Level, Piece};

/// The most pieces, which bounds the memory in each event loop.
const PIECES_MAX: usize = 100_000;
/// The most bytes of a table.
const TABLE_BYTES_MAX: u64 = 16 << 20;
const SECOND_NS: u64 = 1_000_000_000;

/// The pieces of a file, with each level multiplied by this many millionths.
pub(super) fn read(path: &Path, factor: Level) -> Result<Vec<Piece>, String> {
    scaled(&pieces_of(path)?, factor)
}

/// The pieces of a table's text.
pub(super) fn of_text(text: &str) -> Result<Vec<Piece>, String> {
    scaled(&of_table(text)?, Level::ONE)
}

fn pieces_of(path: &Path) -> Result<Vec<Piece>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?;
    if !length.is_file() {
        return Err("it isn't a file".to_owned());
    }
    let mut start = Vec::new();
    let head = (&file).take(RESULT_MAGIC.len() as u64);
    { head }
        .read_to_end(&mut start)
        .map_err(|error| error.to_string())?;
    if start == RESULT_MAGIC {
        return of_results(path);
    }
    if length.len() > TABLE_BYTES_MAX {
        return Err(format!(
            "it is a table of {} MiB: a schedule has at most {PIECES_MAX} lines",
            length.len() >> 20
        ));
    }
    let mut text = start;
    (&file)
        .take(TABLE_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())?;
    of_table(str::from_utf8(&text).map_err(|_| "it is neither text nor a result file".to_owned())?)
}

/// The hits that were due in each second of a run.
fn of_results(path: &Path) -> Result<Vec<Piece>, String> {
    let mut reader = whole::open(path).map_err(|error| error.source.to_string())?;
    let mut seconds: Vec<u64> = Vec::new();
    while let Some(block) = reader.next_block().map_err(|error| error.to_string())? {
        let Block::Hits(hits) = block else {
            continue;
        };
        for hit in hits.iter() {
            let second = (hit.scheduled_ns / SECOND_NS) as usize;
            if second >= PIECES_MAX {
                return Err(format!("the run is longer than {PIECES_MAX} s"));
            }
            if second >= seconds.len() {
                seconds.resize(second + 1, 0);
            }
            seconds[second] += 1;
        }
    }
    if seconds.is_empty() {
        return Err("it has no hits (sums don't contain due times)".to_owned());
    }
    let piece = |hits: u64| {
        let level = hits.checked_mul(Level::ONE.0).map(Level);
        level.map(|level| Piece::flat(level, SECOND_NS))
    };
    let pieces: Option<_> = seconds.into_iter().map(piece).collect();
    pieces.ok_or_else(|| "a second has too many hits".to_owned())
}

/// `RATE`, or `SECONDS RATE`, on each line.
fn of_table(text: &str) -> Result<Vec<Piece>, String> {
    let mut rows: Vec<(Option<u64>, Level)> = Vec::new();
    let mut is_first = true;
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_between = |c: char| c == ',' || c == ';' || c.is_whitespace();
        let fields = line.split(is_between).filter(|field| !field.is_empty());
        let fields: Vec<_> = fields.collect();
        let level = |text: &str| decimal(text, Level::ONE.0).map(Level);
        let row = match *fields {
            [rate] => level(rate).map(|level| (None, level)),
            [time, rate] => decimal(time, SECOND_NS)
                .zip(level(rate))
                .map(|(time_ns, level)| (Some(time_ns), level)),
            _ => None,
        };
        match row {
            Some(row) => rows.push(row),
            // The first line may have the names of the columns.
            None if is_first => {}
            None => {
                return Err(format!(
                    "line {number}: write RATE, or SECONDS RATE, as numbers such as 12.5"
                ));
            }
        }
        is_first = false;
        if rows.len() > PIECES_MAX {
            return Err(format!("there are more than {PIECES_MAX} lines"));
        }
        let times = rows.last_chunk::<2>();
        match times.map(|[before, last]| (before.0, last.0)) {
            Some((Some(before_ns), Some(time_ns))) if time_ns <= before_ns => {
                return Err(format!(
                    "line {number}: its time isn't later than the one before"
                ));
            }
            Some((None, Some(_)) | (Some(_), None)) => {
                return Err(format!(
                    "line {number}: the lines before have other columns"
                ));
            }
            _ => {}
        }
    }
    let mut pieces = Vec::with_capacity(rows.len());
    for (index, &(time_ns, level)) in rows.iter().enumerate() {
        let next_ns = rows.get(index + 1).and_then(|row| row.0);
        let duration_ns = match (time_ns, next_ns) {
            (None, _) => SECOND_NS,
            (Some(time_ns), Some(next_ns)) => next_ns - time_ns,
            // The last rate holds for as long as the one before.
            (Some(_), None) => match pieces.last() {
                Some(&Piece { duration_ns, .. }) => duration_ns,
                None => return Err("a single line with a time gives no length".to_owned()),
            },
        };
        pieces.push(Piece::flat(level, duration_ns));
    }
    Ok(pieces)
}

fn scaled(pieces: &[Piece], factor: Level) -> Result<Vec<Piece>, String> {
    if pieces.iter().all(|piece| piece.to.0 == 0) {
        return Err("it has no rate above 0".to_owned());
    }
    let scaled = pieces.iter().map(|piece| {
        let level = u128::from(piece.to.0) * u128::from(factor.0) / u128::from(Level::ONE.0);
        let level = u64::try_from(level).ok().map(Level);
        level.filter(|&level| level <= Level::MAX)
    });
    let levels: Option<Vec<Level>> = scaled.collect();
    let levels = levels.ok_or("a rate is above 1000000000")?;
    let both = levels.into_iter().zip(pieces);
    Ok(both
        .map(|(level, piece)| Piece::flat(level, piece.duration_ns))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::{Level, Piece, of_table, scaled};

    fn rows(text: &str) -> Vec<(f64, f64)> {
        let pieces = of_table(text).unwrap();
        let row = |piece: &Piece| (piece.to.0 as f64 / 1e6, piece.duration_ns as f64 / 1e9);
        pieces.iter().map(row).collect()
    }

    #[test]
    fn tables_are_read_as_others_write_them() {
        assert_eq!(rows("5\n0\n7.5\n"), [(5.0, 1.0), (0.0, 1.0), (7.5, 1.0)]);
        let csv = "time,value\n1700000000,10\n1700000060.5,20\n\n# gap\n1700000120,5\n";
        assert_eq!(rows(csv), [(10.0, 60.5), (20.0, 59.5), (5.0, 59.5)]);
        assert_eq!(rows("0;1\r\n2;3\r\n"), [(1.0, 2.0), (3.0, 2.0)]);
        assert_eq!(rows("0\t1\n2 \t 3"), [(1.0, 2.0), (3.0, 2.0)]);
    }

    #[test]
    fn what_no_schedule_can_be_made_of_is_told_with_its_line() {
        for (text, word) in [
            ("1\n-2", "line 2"),
            ("1\nNaN", "line 2"),
            ("time rate more\n1 2 3", "line 2"),
            ("10 1\n10 2", "line 2: its time"),
            ("10 1\n9 2", "line 2: its time"),
            ("1\n2 3", "line 2: the lines before"),
            ("0 5", "gives no length"),
        ] {
            let error = of_table(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        let lines = "1\n".repeat(super::PIECES_MAX + 1);
        assert!(of_table(&lines).unwrap_err().contains("100000 lines"));
        for text in ["", "time,rate\n", "0\n0\n"] {
            let pieces = of_table(text).unwrap();
            let error = scaled(&pieces, Level::ONE).unwrap_err();
            assert!(error.contains("no rate above 0"), "{text}: {error}");
        }
        let pieces = of_table("1000000000").unwrap();
        assert!(scaled(&pieces, Level::ONE).is_ok());
        assert!(scaled(&pieces, Level::whole(2)).is_err());
    }
}
