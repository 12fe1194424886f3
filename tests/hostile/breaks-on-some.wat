;; Traps on every third record.
;;= deed
(func $deed unreachable)
