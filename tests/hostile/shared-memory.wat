;; Declares a shared memory.
;;= shared
(memory 1 2 shared)
