//! A mapper that loops without end at a poisoned record.

sluice_guest_kit::on_poison!("endless-loop", |_| loop {
    std::hint::spin_loop();
});
