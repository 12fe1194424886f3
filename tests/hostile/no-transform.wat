;; Does not export transform.
;;= transform
