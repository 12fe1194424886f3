;; Traps on every second record.
;;= deed
(func $deed unreachable)
