;; Traps after each call.
;;= post
(func (export "cabi_post_sluice:plugin/mapping@0.1.0#transform") (param i32) unreachable)
