/** What people see while they sign in: theirs alone, and never kept. */
import { html } from '../web/html.ts'
import * as pages from '../web/sign-in.ts'
import type { Answer, FlatHeaders } from './answer.ts'
import { NOT_KEPT, pageAnswer } from './page-answer.ts'

export type { SignInChoice } from '../web/sign-in.ts'

export function signInPage(choice: pages.SignInChoice, status = 200): Answer {
  return pageAnswer(pages.signInPage(choice), status, NOT_KEPT)
}

export function tokenPage(token: string, publicUrl: string): Answer {
  return pageAnswer(pages.tokenPage(token, publicUrl), 200, NOT_KEPT)
}

export function signedOutPage(headers: FlatHeaders): Answer {
  return pageAnswer(pages.signedOutPage(), 200, [...NOT_KEPT, ...headers])
}

/** A refusal in the words of the original hub. */
export function refusedSignIn(status: number, message: string): Answer {
  return pageAnswer(html`${message}`.toString(), status, NOT_KEPT)
}
