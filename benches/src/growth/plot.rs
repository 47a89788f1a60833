//! Lines on logarithmic axes, as SVG.

use std::path::Path;

use plotters::prelude::{
    ChartBuilder, Circle, EmptyElement, IntoDrawingArea, IntoFont, IntoLogRange, LineSeries, Palette,
    Palette99, SVGBackend, Text, WHITE,
};
use plotters::style::Color;

use super::{Point, real};
use crate::peers::{Outcome, broken};

const SIZE: (u32, u32) = (960, 560);

/// Writes a plot of every row as a multiple of what it is at the smallest size.
pub(super) fn write(path: &Path, what: &str, points: &[Point]) -> Outcome<()> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(()) };
    let mut svg = String::new();
    let rows: Vec<(&str, Vec<(f64, f64)>)> = first
        .figures
        .iter()
        .enumerate()
        .map(|(at, (row, _, base))| {
            let line =
                points.iter().filter_map(|point| Some((real(point.size), point.figures.get(at)?.2 / base)));
            (*row, line.collect())
        })
        .collect();
    let ratios = rows.iter().flat_map(|(_, line)| line.iter().map(|(_, ratio)| *ratio));
    let (low, high) = ratios.fold((0.5_f64, 2.0_f64), |(low, high), ratio| (low.min(ratio), high.max(ratio)));
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(broken)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(
                format!("each row by the number of {what}, as a multiple of its figure at the smallest"),
                ("sans-serif", 16).into_font(),
            )
            .margin(16)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .right_y_label_area_size(190)
            .build_cartesian_2d(
                (real(first.size)..real(last.size)).log_scale(),
                (low * 0.8..high * 1.2).log_scale(),
            )
            .map_err(broken)?;
        chart.configure_mesh().x_desc(what).y_desc("multiple").draw().map_err(broken)?;
        for (at, (row, line)) in rows.iter().enumerate() {
            let colour = Palette99::pick(at).stroke_width(2);
            chart.draw_series(LineSeries::new(line.iter().copied(), colour)).map_err(broken)?;
            let label = |(size, ratio): &(f64, f64)| {
                EmptyElement::at((*size, *ratio))
                    + Circle::new((0, 0), 3, Palette99::pick(at).filled())
                    + Text::new(
                        if Some(*size) == line.last().map(|end| end.0) {
                            (*row).to_owned()
                        } else {
                            String::new()
                        },
                        (8, -6),
                        ("sans-serif", 12).into_font().color(&Palette99::pick(at)),
                    )
            };
            chart.draw_series(line.iter().map(label)).map_err(broken)?;
        }
        area.present().map_err(broken)?;
    }
    super::write_aside(path, &svg)
}
