//! What can be said of a component before it is compiled: whether it is one, what it imports, and
//! how much it declares.
//!
//! Only the outline is read, front to back, without building anything from it: its time and memory
//! are bounded by the component's size, whatever is in it. Whether the component is valid, the
//! compiler finds out.

use wasmparser::{
    ComponentExportSectionReader, ComponentImportSectionReader, Encoding, Instance,
    InstanceSectionReader, Parser, Payload,
};

use crate::plugin::sandbox::imports;
use crate::plugin::supply::{LoadProblem, Trust};
use crate::policy::LoadLimits;

/// How the compiler's parser says that bytes are no WebAssembly, in nine lines.
const NO_WEBASSEMBLY: &str = "it is no WebAssembly at all";
const A_MODULE: &str = "it is a core module, which still has to be made a component";

/// A component's outline.
#[derive(Debug, Default)]
pub struct Outline {
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Core modules that it instantiates, those of components inside it left aside.
    pub instances: u64,
}

impl Outline {
    /// Reads it.
    ///
    /// # Errors
    /// When it is no component, or declares more than any plugin needs.
    pub fn of(bytes: &[u8], limits: &LoadLimits) -> Result<Self, LoadProblem> {
        if !bytes.starts_with(b"\0asm") {
            return Err(LoadProblem::NotAComponent(NO_WEBASSEMBLY.to_owned()));
        }
        let mut outline = Self::default();
        let mut totals = Totals::new(limits);
        let mut depth: u64 = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(malformed)?;
            match payload {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(LoadProblem::NotAComponent(A_MODULE.to_owned()));
                }
                Payload::ModuleSection { .. } => {
                    depth += 1;
                    totals.modules(1)?;
                }
                Payload::ComponentSection { .. } => {
                    depth += 1;
                    totals.components(1)?;
                    totals.depth(depth)?;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(imports) => {
                    totals.declarations(imports.count())?;
                    if depth == 0 {
                        outline.add_imports(imports)?;
                    }
                }
                Payload::ComponentExportSection(exports) => {
                    totals.declarations(exports.count())?;
                    if depth == 0 {
                        outline.add_exports(exports)?;
                    }
                }
                Payload::InstanceSection(instances) => {
                    totals.instances(instances.count())?;
                    if depth == 0 {
                        outline.add_instances(instances)?;
                    }
                }
                other => totals.add(other)?,
            }
        }
        Ok(outline)
    }

    fn add_imports(
        &mut self,
        imports: ComponentImportSectionReader<'_>,
    ) -> Result<(), LoadProblem> {
        for import in imports {
            self.imports.push(import.map_err(malformed)?.name.name.to_owned());
        }
        Ok(())
    }

    fn add_exports(
        &mut self,
        exports: ComponentExportSectionReader<'_>,
    ) -> Result<(), LoadProblem> {
        for export in exports {
            self.exports.push(export.map_err(malformed)?.name.name.to_owned());
        }
        Ok(())
    }

    fn add_instances(&mut self, instances: InstanceSectionReader<'_>) -> Result<(), LoadProblem> {
        for instance in instances {
            let is_of_a_module =
                matches!(instance.map_err(malformed)?, Instance::Instantiate { .. });
            self.instances += u64::from(is_of_a_module);
        }
        Ok(())
    }

    /// Checks what it imports against what a tenant's plugins may reach.
    pub(crate) fn check_imports(&self, tenant: &str, trust: &Trust) -> Result<(), LoadProblem> {
        self.imports.iter().try_for_each(|import| imports::check(import, tenant, trust))
    }

    /// Each import, and why a tenant's plugins may not have it, if they may not.
    pub fn judged_imports<'a>(
        &'a self,
        tenant: &'a str,
        trust: &'a Trust,
    ) -> impl Iterator<Item = (&'a str, Option<LoadProblem>)> {
        let judge = move |import: &'a String| {
            (import.as_str(), imports::check(import, tenant, trust).err())
        };
        self.imports.iter().map(judge)
    }
}

fn malformed(error: wasmparser::BinaryReaderError) -> LoadProblem {
    LoadProblem::NotAComponent(format!("{} at byte {}", error.message(), error.offset()))
}

/// What was declared so far, in all modules and components together.
struct Totals<'a> {
    limits: &'a LoadLimits,
    modules: u64,
    components: u64,
    instances: u64,
    functions: u64,
    locals: u64,
    declarations: u64,
}

fn at_most(what: &'static str, found: u64, most: u64) -> Result<(), LoadProblem> {
    if found > most { Err(LoadProblem::TooMuch { what, found, most }) } else { Ok(()) }
}

impl<'a> Totals<'a> {
    fn new(limits: &'a LoadLimits) -> Self {
        Self {
            limits,
            modules: 0,
            components: 0,
            instances: 0,
            functions: 0,
            locals: 0,
            declarations: 0,
        }
    }

    fn add(&mut self, payload: Payload<'_>) -> Result<(), LoadProblem> {
        match payload {
            Payload::ComponentInstanceSection(section) => self.instances(section.count()),
            Payload::FunctionSection(section) => self.functions(section.count()),
            Payload::CodeSectionEntry(body) => {
                let bytes = body.as_bytes().len() as u64;
                at_most("bytes in a function", bytes, self.limits.function_bytes)?;
                for local in body.get_locals_reader().map_err(malformed)? {
                    let (count, _) = local.map_err(malformed)?;
                    self.locals(count)?;
                }
                Ok(())
            }
            Payload::TypeSection(section) => self.declarations(section.count()),
            Payload::ImportSection(section) => self.declarations(section.count()),
            Payload::TableSection(section) => self.declarations(section.count()),
            Payload::MemorySection(section) => self.declarations(section.count()),
            Payload::TagSection(section) => self.declarations(section.count()),
            Payload::GlobalSection(section) => self.declarations(section.count()),
            Payload::ExportSection(section) => self.declarations(section.count()),
            Payload::ElementSection(section) => self.declarations(section.count()),
            Payload::DataSection(section) => self.declarations(section.count()),
            Payload::CoreTypeSection(section) => self.declarations(section.count()),
            Payload::ComponentAliasSection(section) => self.declarations(section.count()),
            Payload::ComponentTypeSection(section) => self.declarations(section.count()),
            Payload::ComponentCanonicalSection(section) => self.declarations(section.count()),
            // Nothing else can multiply.
            _ => Ok(()),
        }
    }

    fn modules(&mut self, more: u32) -> Result<(), LoadProblem> {
        self.modules += u64::from(more);
        at_most("core modules", self.modules, self.limits.modules)
    }

    fn components(&mut self, more: u32) -> Result<(), LoadProblem> {
        self.components += u64::from(more);
        at_most("nested components", self.components, self.limits.components)
    }

    fn depth(&self, depth: u64) -> Result<(), LoadProblem> {
        at_most("components inside one another", depth, self.limits.component_depth)
    }

    fn instances(&mut self, more: u32) -> Result<(), LoadProblem> {
        self.instances += u64::from(more);
        at_most("instances", self.instances, self.limits.instances)
    }

    fn functions(&mut self, more: u32) -> Result<(), LoadProblem> {
        self.functions += u64::from(more);
        at_most("functions", self.functions, self.limits.functions)
    }

    fn locals(&mut self, more: u32) -> Result<(), LoadProblem> {
        self.locals += u64::from(more);
        at_most("local variables", self.locals, self.limits.locals)
    }

    fn declarations(&mut self, more: u32) -> Result<(), LoadProblem> {
        self.declarations += u64::from(more);
        at_most("types, imports, exports and segments", self.declarations, self.limits.declarations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::test_plugin::component;
    use crate::policy::Grant;

    fn outline(text: &str) -> Result<Outline, LoadProblem> {
        Outline::of(&wat::parse_str(text).unwrap(), &LoadLimits::default())
    }

    fn importing(import: &str) -> Outline {
        outline(&format!(r#"(component (import "{import}" (instance)))"#)).unwrap()
    }

    #[test]
    fn what_is_no_component_is_refused() {
        for bytes in [&b""[..], b"text", b"\0as", b"\0asm", b"\0asm\x0d\0\x01\0\xff\xff\xff"] {
            let refusal = Outline::of(bytes, &LoadLimits::default()).err().unwrap();
            assert!(matches!(refusal, LoadProblem::NotAComponent(_)), "{refusal}");
        }
        assert!(outline("(module)").err().unwrap().to_string().contains("core module"));
        assert!(outline("(component)").is_ok());
    }

    #[test]
    fn every_cut_and_every_flip_is_an_outline_or_an_error() {
        let whole = component("motion", "1.0.0");
        for end in 0..whole.len() {
            let _ = Outline::of(&whole[..end], &LoadLimits::default());
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                let _ = Outline::of(&flipped, &LoadLimits::default());
            }
        }
    }

    #[test]
    fn a_plugin_may_import_what_every_plugin_gets_and_what_is_granted() {
        let (all, none) = (Trust::default(), Trust { grants: Vec::new(), ..Trust::default() });
        let only_log = Trust { grants: vec![Grant::Log], ..Trust::default() };
        let check = |import: &str, trust| importing(import).check_imports("acme", trust);
        for name in ["types", "frames"] {
            assert!(check(&format!("comux:plugin/{name}@0.1.0"), &none).is_ok(), "{name}");
        }
        for name in ["log", "metrics"] {
            assert!(check(&format!("comux:plugin/{name}@0.1.7"), &all).is_ok(), "{name}");
            let import = format!("comux:plugin/{name}@0.1.0");
            let refusal = check(&import, &none).unwrap_err().to_string();
            for words in [&import, "`acme`", &format!("\"{name}\""), "grants"] {
                assert!(refusal.contains(words), "{refusal}");
            }
        }
        assert!(check("comux:plugin/log@0.1.0", &only_log).is_ok());
        assert!(check("comux:plugin/metrics@0.1.0", &only_log).is_err());
        let refusal = check("wasi:cli/environment@0.2.0", &all).unwrap_err();
        assert!(matches!(refusal, LoadProblem::ForeignImport(_)), "{refusal}");
        for other in ["comux:plugin/log@0.2.0", "comux:plugin/log", "comux:plugin/secrets@0.1.0"] {
            let refusal = check(other, &all).unwrap_err();
            assert!(matches!(refusal, LoadProblem::OtherVersion(_)), "{refusal}");
        }
    }

    #[test]
    fn what_a_refusal_repeats_of_an_import_is_one_line_of_bounded_length() {
        let long = format!("\\n{}", "x".repeat(90_000));
        for start in ["", "comux:plugin/", "comux:plugin/frames@0.2.", "comux:plugin/log@0.1."] {
            let outline = importing(&format!("{start}{long}"));
            let none = Trust { grants: Vec::new(), ..Trust::default() };
            let refusal = outline.check_imports("acme", &none).unwrap_err().to_string();
            assert!(refusal.contains(start) && refusal.len() < 2048, "{}", refusal.len());
            assert!(!refusal.contains('\n'), "{refusal}");
        }
    }

    #[test]
    fn what_an_inner_component_imports_is_no_import_of_the_plugin() {
        let inner = r#"(component (component (import "wasi:cli/exit@0.2.0" (instance))))"#;
        assert!(outline(inner).unwrap().check_imports("acme", &Trust::default()).is_ok());
    }

    #[test]
    fn what_declares_more_than_a_plugin_needs_is_refused_with_what_and_how_many() {
        let few = LoadLimits {
            modules: 2,
            components: 2,
            component_depth: 1,
            instances: 2,
            functions: 3,
            function_bytes: 40,
            locals: 100,
            declarations: 20,
            ..LoadLimits::default()
        };
        let module = "(core module (func))";
        let instances = "(core module $m) (core instance (instantiate $m))\
                         (core instance (instantiate $m)) (core instance (instantiate $m))";
        let imports: String =
            (0..21).map(|n| format!("(import \"host\" \"i{n}\" (func))")).collect();
        for (inside, words) in [
            (module.repeat(3), "3 core modules, and a plugin may have 2"),
            ("(component)".repeat(3), "3 nested components"),
            ("(component (component))".to_owned(), "2 components inside one another"),
            (instances.to_owned(), "3 instances"),
            (format!("(core module {})", "(func)".repeat(4)), "4 functions"),
            (format!("(core module (func {}))", "nop ".repeat(40)), "bytes in a function"),
            (format!("(core module (func (local {})))", "i32 ".repeat(101)), "101 local"),
            (format!("(core module {imports})"), "types, imports"),
        ] {
            let bytes = wat::parse_str(format!("(component {inside})")).unwrap();
            assert!(Outline::of(&bytes, &LoadLimits::default()).is_ok(), "{inside}");
            let refusal = Outline::of(&bytes, &few).err().unwrap().to_string();
            assert!(refusal.contains(words), "{refusal}");
        }
        let in_order = "(component) (component) (core module (func)) (core module (func))";
        assert!(
            Outline::of(&wat::parse_str(format!("(component {in_order})")).unwrap(), &few).is_ok()
        );
    }

    /// A count is believed before what it counts is looked for.
    #[test]
    fn a_few_bytes_that_claim_billions_cost_nothing() {
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0f];
        for section in [2, 3, 5, 6, 7, 8, 10, 11] {
            let bytes = [b"\0asm\x0d\0\x01\0", &[section, 5][..], &claim].concat();
            assert!(Outline::of(&bytes, &LoadLimits::default()).is_err(), "section {section}");
        }
    }
}
