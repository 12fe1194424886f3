;; Traps at every second record.
;;= deed
(func $deed unreachable)
