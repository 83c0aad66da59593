//! What a terminal shows, as a picture.

use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// A character is so wide and so high.
const WIDE: f64 = 8.4;
const HIGH: f64 = 17.0;
const MARGIN: f64 = 12.0;
const PAPER: &str = "#16181d";
const INK: &str = "#d6d9df";
/// The sixteen colours.
const COLOURS: [&str; 16] = [
    "#16181d", "#f0716b", "#8ccf7e", "#e5c76b", "#67b0e8", "#c47fd5", "#5fc4c9", "#d6d9df",
    "#7d828d", "#f0716b", "#8ccf7e", "#e5c76b", "#67b0e8", "#c47fd5", "#5fc4c9", "#ffffff",
];

/// The screen as SVG. Blocks are drawn, since fonts leave gaps between them.
pub(super) fn of(screen: &Screen) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let (width, height) = (
        f64::from(columns) * WIDE + 2.0 * MARGIN,
        f64::from(rows) * HIGH + 2.0 * MARGIN,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"14\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{PAPER}\"/>\n"
    );
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let Some(cell) = screen.cell(row, column) else {
                break;
            };
            let (x, y) = place(row, column);
            if let Some(block) = block(cell, x, y) {
                svg.push_str(&block);
                column += 1;
                continue;
            }
            // Cells that look alike are one text; its length is forced, whatever the font.
            let mut text = String::new();
            let start = column;
            while column < columns
                && let Some(next) = screen.cell(row, column)
                && look(next) == look(cell)
                && block_of(next.contents()).is_none()
            {
                text.push_str(if next.has_contents() {
                    next.contents()
                } else {
                    " "
                });
                column += 1;
            }
            if !text.trim().is_empty() {
                let length = f64::from(column - start) * WIDE;
                let text = text.replace('&', "&amp;").replace('<', "&lt;");
                let weight = if cell.bold() {
                    " font-weight=\"bold\""
                } else {
                    ""
                };
                let _fits = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"{}\"{weight} textLength=\"{length:.1}\" \
                     xml:space=\"preserve\">{text}</text>",
                    y + 13.0,
                    colour(cell.fgcolor())
                );
            }
        }
    }
    svg + "</svg>\n"
}

fn place(row: u16, column: u16) -> (f64, f64) {
    (
        MARGIN + f64::from(column) * WIDE,
        MARGIN + f64::from(row) * HIGH,
    )
}

fn look(cell: &Cell) -> (Color, bool, bool) {
    (cell.fgcolor(), cell.bold(), cell.dim())
}

/// How much of a cell is filled from below, and how strongly.
fn block_of(text: &str) -> Option<(f64, f64)> {
    let character = text.chars().next()?;
    match character {
        '▁'..='█' => Some((f64::from(character as u32 - '▁' as u32 + 1) / 8.0, 1.0)),
        '░' => Some((1.0, 0.25)),
        _ => None,
    }
}

fn block(cell: &Cell, x: f64, y: f64) -> Option<String> {
    let (share, opacity) = block_of(cell.contents())?;
    let height = HIGH * share;
    let top = y + HIGH - height;
    let colour = colour(cell.fgcolor());
    Some(format!(
        "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{WIDE}\" height=\"{height:.1}\" fill=\"{colour}\" \
         opacity=\"{opacity}\"/>\n"
    ))
}

fn colour(colour: Color) -> &'static str {
    match colour {
        Color::Idx(index) => COLOURS.get(usize::from(index)).copied().unwrap_or(INK),
        Color::Default | Color::Rgb(..) => INK,
    }
}
