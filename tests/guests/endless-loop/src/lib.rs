//! A mapper that never comes back from a poisoned record.

sluice_guest_kit::on_poison!("endless-loop", |_| loop {
    std::hint::spin_loop();
});
