//! Figures as a picture: panels of bars beside each other, each with its own scale.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What is drawn beside others.
pub struct Panel {
    /// What the labels count.
    pub title: &'static str,
    /// Label and figure of each bar.
    pub points: Vec<(String, f64)>,
}

const WIDTH: u32 = 360;
const HEIGHT: u32 = 300;
const COLOUR: RGBColor = RGBColor(70, 110, 160);

/// Draws them into an SVG file.
pub fn draw(path: &Path, figure: &str, panels: &[Panel]) {
    let width = WIDTH * u32::try_from(panels.len()).unwrap();
    let root = SVGBackend::new(path, (width, HEIGHT)).into_drawing_area();
    root.fill(&WHITE).unwrap();
    for (area, panel) in root.split_evenly((1, panels.len())).iter().zip(panels) {
        let Panel { title, points } = panel;
        let highest = points.iter().map(|(_, figure)| *figure).fold(0.0, f64::max);
        let last = points.len() as f64 - 0.5;
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(-0.5..last, 0.0..highest * 1.15)
            .unwrap();
        let label = |at: &f64| {
            // Ticks between two bars have none.
            let whole = (at - at.round()).abs() < 0.01;
            let point = points.get(at.round().max(0.0) as usize).filter(|_| whole);
            point.map(|(label, _)| label.clone()).unwrap_or_default()
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(points.len() + 1)
            .x_label_formatter(&label)
            .x_desc(*title)
            .y_label_formatter(&|figure| format!("{figure:.0}"))
            .y_desc(figure)
            .label_style(("sans-serif", 12))
            .draw()
            .unwrap();
        let above = Pos::new(HPos::Center, VPos::Bottom);
        let style = ("sans-serif", 12).into_text_style(area).pos(above);
        let bars = points.iter().enumerate().map(|(number, (_, figure))| {
            let at = number as f64;
            Rectangle::new([(at - 0.3, 0.0), (at + 0.3, *figure)], COLOUR.filled())
        });
        chart.draw_series(bars).unwrap();
        let texts = points.iter().enumerate().map(|(number, (_, figure))| {
            Text::new(format!("{figure:.0}"), (number as f64, figure * 1.02), style.clone())
        });
        chart.draw_series(texts).unwrap();
    }
    root.present().unwrap();
}
