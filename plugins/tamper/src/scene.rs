//! What is usual for this camera, learned slowly from pictures that look all right.

use crate::measures::Measures;

/// Running means of the measures.
pub struct Scene {
    warmup: u32,
    memory: u32,
    learned: u32,
    sharpness: f64,
    coarse: Vec<f64>,
}

/// A scene that has seen enough to be compared with.
#[derive(Clone, Copy)]
pub struct Usual<'a>(&'a Scene);

impl Scene {
    /// Nothing is usual yet; after `warmup` frames it is their mean, later about the mean of the
    /// latest `memory`.
    pub fn new(warmup: u32, memory: u32) -> Self {
        Self { warmup, memory, learned: 0, sharpness: 0.0, coarse: Vec::new() }
    }

    /// What is usual, once enough has been learned.
    pub fn usual(&self) -> Option<Usual<'_>> {
        (self.learned >= self.warmup).then_some(Usual(self))
    }

    /// Takes a picture in: `usual += (picture - usual) / min(frames so far, memory)`.
    pub fn learn(&mut self, measures: &Measures) {
        self.learned = self.learned.saturating_add(1);
        if self.coarse.len() != measures.coarse.len() {
            self.coarse = measures.coarse.clone();
        }
        let weight = 1.0 / f64::from(self.learned.min(self.memory).max(1));
        self.sharpness += (measures.sharpness - self.sharpness) * weight;
        for (usual, &cell) in self.coarse.iter_mut().zip(&measures.coarse) {
            *usual += (cell - *usual) * weight;
        }
    }

    /// Begins anew.
    pub fn forget(&mut self) {
        *self = Self::new(self.warmup, self.memory);
    }
}

impl Usual<'_> {
    /// The usual sharpness.
    pub fn sharpness(self) -> f64 {
        self.0.sharpness
    }

    /// Pearson's correlation of the coarse picture with the usual one, -1 to 1: 1 for the same
    /// view in any light, about 0 for another view.
    pub fn similarity(self, measures: &Measures) -> f64 {
        correlation(&measures.coarse, &self.0.coarse)
    }
}

/// 1 when either side is flat: then nothing speaks for another view.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut together, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        together += (a - mean_a) * (b - mean_b);
        of_a += (a - mean_a).powi(2);
        of_b += (b - mean_b).powi(2);
    }
    let scale = (of_a * of_b).sqrt();
    if scale < f64::EPSILON {
        return 1.0;
    }
    together / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_ignores_gain_and_offset() {
        let scene = [1.0, 5.0, 2.0, 8.0];
        let darker = scene.map(|cell| cell / 4.0 + 3.0);
        let negative = scene.map(|cell| -cell);
        assert!((correlation(&scene, &darker) - 1.0).abs() < 1e-12);
        assert!((correlation(&scene, &negative) + 1.0).abs() < 1e-12);
        assert_eq!(correlation(&scene, &[7.0; 4]), 1.0);
    }

    #[test]
    fn the_usual_is_the_mean_of_the_warm_up_and_then_moves_slowly() {
        let picture = |gray: f64| Measures { contrast: 20.0, sharpness: gray, coarse: vec![gray] };
        let mut scene = Scene::new(2, 4);
        scene.learn(&picture(10.0));
        assert!(scene.usual().is_none());
        scene.learn(&picture(20.0));
        assert_eq!(scene.usual().unwrap().sharpness(), 15.0);
        for _ in 0..10 {
            scene.learn(&picture(15.0));
        }
        scene.learn(&picture(35.0));
        assert_eq!(scene.usual().unwrap().sharpness(), 20.0);
        scene.forget();
        assert!(scene.usual().is_none());
    }
}
