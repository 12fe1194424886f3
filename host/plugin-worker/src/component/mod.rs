//! A component's file: bounds, compilation, and what it says about itself.

pub(crate) mod bounds;
pub(crate) mod import_hints;
pub(crate) mod link_error;
pub(crate) mod toolchain;

use wasmtime::component::Component;

use crate::engine::Engines;
use sluice_plugin_protocol::{CompiledComponent, InspectedComponent};

/// Maximum number of exports and of imports that are returned. A component of the contract has some dozens.
const MAX_NAMES: usize = 1_000;

/// Compiles a component. Returns its code, and what its file says about itself; otherwise the reason why it is refused.
pub(crate) fn compile(engines: &mut Engines, bytes: &[u8]) -> Result<(Vec<u8>, CompiledComponent), String> {
    bounds::check(bytes)?;
    let pooled = engines
        .pooled()
        .and_then(|engine| Component::new(&engine.wasmtime, bytes).map_err(|error| format!("{error:#}")));
    let refused = |error: wasmtime::Error| format!("it is not a component that can be compiled: {error:#}");
    let (component, not_pooled) = match pooled {
        Ok(component) => (component, None),
        Err(reason) => {
            (Component::new(&engines.on_demand().map_err(refused)?.wasmtime, bytes).map_err(refused)?, Some(reason))
        }
    };
    let code = component.serialize().map_err(refused)?;
    let ty = component.component_type();
    let engine = component.engine();
    let inspected = InspectedComponent {
        exports: ty.exports(engine).map(|(name, _)| name.to_owned()).take(MAX_NAMES).collect(),
        imports: ty.imports(engine).map(|(name, _)| name.to_owned()).take(MAX_NAMES).collect(),
        toolchain: toolchain::toolchain(bytes),
    };
    Ok((code, CompiledComponent { not_pooled, inspected }))
}

/// Loads compiled code. Fails if it was compiled for another engine, or is damaged.
pub(crate) fn load(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` requires the output of `serialize` of a compatible engine. The server passes code only that a
    // worker of the same plugin and tenant compiled, and that the server sealed with its own key since. wasmtime refuses
    // code of another version or of other settings. If a hostile component made the compiler write other code, this process
    // is the one that it may take over: it runs nothing but this plugin, behind the same walls as the compiler.
    #[allow(unsafe_code)]
    unsafe {
        Component::deserialize(engine, code)
    }
}
