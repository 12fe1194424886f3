//! Errors of wasmtime that have no type of their own. They are recognised by their text, and tests compare the texts with
//! errors that wasmtime produces.

use wasmtime::component::Component;

/// Text of wasmtime's error for a call that transfers more bytes than its limit allows. The error's type is private.
const HOSTCALL_FUEL_EXHAUSTED: &str =
    "too much data is being copied between the host and the guest: fuel allocated for hostcalls has been exhausted";

/// Returns true if a call transferred more bytes between the plugin and the host than its limit allows.
pub(crate) fn exceeded_transfer_limit(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| cause.to_string() == HOSTCALL_FUEL_EXHAUSTED)
}

/// Returns true if the system gave no memory to the process.
pub(crate) fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    let no_memory = |error: &std::io::Error| error.raw_os_error() == Some(libc::ENOMEM);
    error.chain().any(|cause| {
        cause.downcast_ref::<rustix::io::Errno>().is_some_and(|errno| *errno == rustix::io::Errno::NOMEM)
            || cause.downcast_ref().is_some_and(no_memory)
    })
}

/// Returns the import that a component cannot be linked without. Returns `None` for any other error. The linker of
/// components reports an import by its text only; the text has the name in backticks.
pub(crate) fn missing_import<'e>(error: &'e wasmtime::Error, component: &Component) -> Option<&'e str> {
    let context = error.downcast_ref::<String>()?;
    let (start, rest) = context.strip_prefix("component imports ")?.split_once('`')?;
    let (import, end) = rest.rsplit_once('`')?;
    let is_kind = start.ends_with(' ') && !start.contains('`');
    let is_import = || component.component_type().imports(component.engine()).any(|(name, _)| name == import);
    (is_kind && end == ", but a matching implementation was not found in the linker" && is_import()).then_some(import)
}

/// Returns true if the plugin ran and failed: it trapped, or the host stopped it.
pub(crate) fn is_from_guest(error: &wasmtime::Error) -> bool {
    error.is::<wasmtime::Trap>() || error.is::<wasmtime::WasmBacktrace>()
}

#[cfg(test)]
mod tests {
    use wasmtime::component::{Linker, TypedFunc};
    use wasmtime::{Engine, Error, Store};

    use super::*;

    fn component(engine: &Engine, source: &str) -> Component {
        Component::new(engine, wat::parse_str(source).unwrap()).unwrap()
    }

    /// A component that exports a function which returns a text of 100 bytes, and one that traps.
    const EXPORTS: &str = r#"(component
        (core module $m
            (memory (export "memory") 1)
            (func (export "text") (result i32) (i32.store (i32.const 4) (i32.const 100)) (i32.const 0))
            (func (export "trap") (result i32) unreachable))
        (core instance $i (instantiate $m))
        (func (export "text") (result string) (canon lift (core func $i "text") (memory (core memory $i "memory"))))
        (func (export "trap") (result u32) (canon lift (core func $i "trap"))))"#;

    #[test]
    fn the_transfer_limit_is_recognised() {
        let engine = Engine::default();
        let exports = component(&engine, EXPORTS);
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &exports).unwrap();
        let text: TypedFunc<(), (String,)> = instance.get_typed_func(&mut store, "text").unwrap();
        for (limit, fits) in [(100, true), (99, false)] {
            store.set_hostcall_fuel(limit);
            let returned = text.call(&mut store, ());
            assert_eq!(returned.is_ok(), fits, "{returned:?}");
            if let Err(error) = returned {
                assert!(exceeded_transfer_limit(&error) && !is_from_guest(&error), "{error:#}");
                assert!(exceeded_transfer_limit(&error.context("while validating")));
            }
        }
        let trap: TypedFunc<(), (u32,)> = instance.get_typed_func(&mut store, "trap").unwrap();
        let error = trap.call(&mut store, ()).unwrap_err();
        assert!(is_from_guest(&error) && !exceeded_transfer_limit(&error), "{error:#}");
        assert!(!exceeded_transfer_limit(&Error::msg("no fuel")));
    }

    #[test]
    fn a_missing_import_is_recognised() {
        let engine = Engine::default();
        let source = |import: &str| format!(r#"(component (import "{import}" (instance (export "f" (func)))))"#);
        for import in ["sluice:elsewhere/secrets", "wasi:http/handler@0.2.0", "plain"] {
            let component = component(&engine, &source(import));
            let error = Linker::<()>::new(&engine).instantiate_pre(&component).map(drop).unwrap_err();
            assert_eq!(missing_import(&error, &component), Some(import), "{error:#}");
        }
        let function = component(&engine, r#"(component (import "run" (func)))"#);
        let error = Linker::<()>::new(&engine).instantiate_pre(&function).map(drop).unwrap_err();
        assert_eq!(missing_import(&error, &function), Some("run"), "{error:#}");
        for other in ["component imports `run`, but no", "it imports `run`", "no export `run` found"] {
            assert_eq!(missing_import(&Error::msg(other.to_owned()), &function), None);
        }
    }

    /// An export with other parameters or results than the contract's fails before the plugin runs.
    #[test]
    fn a_mistyped_export_is_no_failure_of_the_guest() {
        let engine = Engine::default();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &component(&engine, EXPORTS)).unwrap();
        let mistyped = instance.get_typed_func::<(), (u64,)>(&mut store, "text").map(drop).unwrap_err();
        let absent = instance.get_typed_func::<(), (u64,)>(&mut store, "absent").map(drop).unwrap_err();
        assert!(!is_from_guest(&mistyped) && !is_from_guest(&absent));
    }

    /// A start function that traps is a failure of the guest.
    #[test]
    fn a_trap_at_instantiation_is_a_failure_of_the_guest() {
        let engine = Engine::default();
        let source = "(component (core module $m (func $f unreachable) (start $f)) (core instance (instantiate $m)))";
        let mut store = Store::new(&engine, ());
        let error = Linker::new(&engine).instantiate(&mut store, &component(&engine, source)).map(drop).unwrap_err();
        assert!(is_from_guest(&error), "{error:#}");
    }
}
