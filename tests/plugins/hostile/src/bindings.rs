//! What `wit-bindgen` makes of the world, and of a resource of the plugin's own.
#![allow(
    missing_docs,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::indexing_slicing,
    reason = "generated"
)]

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package comux:hostile;
        interface things {
            resource thing { constructor(loops-when-dropped: bool); }
        }
        world hostile {
            import comux:plugin/types@0.1.0;
            import comux:plugin/frames@0.1.0;
            import comux:plugin/log@0.1.0;
            import comux:plugin/metrics@0.1.0;
            export comux:plugin/lifecycle@0.1.0;
            export comux:plugin/frame-hook@0.1.0;
            export comux:plugin/state@0.1.0;
            export things;
        }
    ",
    world: "comux:hostile/hostile",
    generate_all,
    pub_export_macro: true,
});
