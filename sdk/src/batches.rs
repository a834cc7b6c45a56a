//! Plugins that look at frames of several cameras in one call.

use crate::{Frame, Headers, Plugin, PluginError};

/// A [`Plugin`] that looks at frames of several cameras in one call, because it compares them, or
/// because one call for many is cheaper, as with a model.
///
/// There is one instance for all cameras of a tenant on which the plugin runs with the same
/// configuration and limits. What it remembers of a camera it keeps by [`Frame::camera`], and can't
/// be [`Stateful`](crate::Stateful) besides. `comux_sdk::export!(MyPlugin, batches);` exports it.
///
/// ```
/// use comux_sdk::prelude::*;
///
/// /// How much brighter a camera is than all of them on average.
/// struct Brighter;
///
/// impl Plugin for Brighter {
///     type Config = NoConfig;
///     const HEADERS: &'static [&'static str] = &["brighter.by"];
///     fn new(_: NoConfig) -> Result<Self, ConfigError> { Ok(Brighter) }
///     fn on_frame(&mut self, _: &Frame) -> Result<Headers, PluginError> {
///         Ok(Headers::new().number("brighter.by", 0.0, 1))
///     }
/// }
///
/// impl Batched for Brighter {
///     fn on_batch(&mut self, frames: &[Frame]) -> Vec<Result<Headers, PluginError>> {
///         let means: Vec<f64> = frames.iter().map(|frame| frame.luma().mean).collect();
///         let all = means.iter().sum::<f64>() / means.len() as f64;
///         means.iter().map(|mean| Ok(Headers::new().number("brighter.by", mean - all, 1))).collect()
///     }
/// }
/// comux_sdk::export!(Brighter, batches);
/// ```
pub trait Batched: Plugin {
    /// Analyses frames of at least two cameras, each of another one. Those of one camera come in
    /// presentation order, here or in [`Plugin::on_frame`], which gets frames that no other came to
    /// join. Gives what [`Plugin::on_frame`] would, for each frame in order: as many answers as
    /// frames.
    fn on_batch(&mut self, frames: &[Frame]) -> Vec<Result<Headers, PluginError>>;
}
